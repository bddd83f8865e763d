{{/* Names and labels that all templates share. */}}

{{- define "bookmill.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels of one component's objects; call with (dict "root" $ "component" "clean"). */}}
{{- define "bookmill.labels" -}}
{{ include "bookmill.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "bookmill.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* An image of ours; call with (dict "root" $ "image" "clean"). */}}
{{- define "bookmill.image" -}}
{{- $image := .root.Values.image -}}
{{- $digest := get $image.digests .image -}}
{{- if $digest -}}
{{- printf "%s/%s@%s" $image.registry .image $digest -}}
{{- else if $image.requireDigests -}}
{{- fail (printf "image.digests.%s is missing, and image.requireDigests asks for it: give the digest that pushing the image printed" .image) -}}
{{- else -}}
{{- printf "%s/%s:%s" $image.registry .image (default .root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The bundled store's image: MinIO's public one, or ours of SeaweedFS. */}}
{{- define "bookmill.storeImage" -}}
{{- $given := .Values.objectStore.bundled.image -}}
{{- $repository := "minio/minio" -}}
{{- $tag := "RELEASE.2025-09-07T16-13-09Z" -}}
{{- $digest := "" -}}
{{- if eq .Values.objectStore.bundled.flavor "seaweedfs" -}}
{{- $repository = printf "%s/seaweedfs" .Values.image.registry -}}
{{- $tag = default .Chart.AppVersion .Values.image.tag -}}
{{- $digest = ternary "" (get .Values.image.digests "seaweedfs") (ne $given.repository "") -}}
{{- end -}}
{{- $repository = default $repository $given.repository -}}
{{- $digest = default $digest $given.digest -}}
{{- if $digest -}}
{{- printf "%s@%s" $repository $digest -}}
{{- else if .Values.image.requireDigests -}}
{{- fail "objectStore.bundled.image.digest is missing, and image.requireDigests asks for it: give the digest of the store's image" -}}
{{- else -}}
{{- printf "%s:%s" $repository (default $tag $given.tag) -}}
{{- end -}}
{{- end -}}

{{- define "bookmill.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What every container of ours may: nothing (the restricted Pod Security Standard). */}}
{{- define "bookmill.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "bookmill.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Environment from a map of strings; a later map of the list has its way. Call with a list of maps. */}}
{{- define "bookmill.environment" -}}
{{- $all := dict -}}
{{- range . }}{{- $all = mergeOverwrite $all (deepCopy (default dict .)) }}{{- end }}
{{- range $name, $value := $all }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "bookmill.storeSecret" -}}
{{- default (printf "%s-store" (include "bookmill.fullname" .)) .Values.objectStore.existingSecret -}}
{{- end -}}

{{- define "bookmill.tokenSecret" -}}
{{- default (printf "%s-token" (include "bookmill.fullname" .)) .Values.gateway.existingTokenSecret -}}
{{- end -}}

{{/* Settings that reach the store, as a map of strings; the keys are files. */}}
{{- define "bookmill.storeSettings" -}}
BOOKMILL_STORE_ENDPOINT: {{ if eq .Values.objectStore.mode "bundled" }}{{ include "bookmill.fullname" . }}-store:9000{{ else }}{{ .Values.objectStore.external.endpoint }}{{ end }}
BOOKMILL_STORE_BUCKET: {{ .Values.objectStore.bucket }}
BOOKMILL_STORE_SECURE: {{ and (eq .Values.objectStore.mode "external") .Values.objectStore.external.secure | quote }}
BOOKMILL_STORE_REGION: {{ if eq .Values.objectStore.mode "external" }}{{ .Values.objectStore.external.region }}{{ else }}us-east-1{{ end }}
BOOKMILL_STORE_ACCESS_KEY_FILE: /etc/bookmill/store/access_key
BOOKMILL_STORE_SECRET_KEY_FILE: /etc/bookmill/store/secret_key
{{- end -}}

{{/*
A secret's value, encoded, that is made once: what is in the cluster stays.
Call with (dict "root" $ "name" … "key" … "length" …).
*/}}
{{- define "bookmill.madeOnce" -}}
{{- $there := lookup "v1" "Secret" .root.Release.Namespace .name -}}
{{- if and $there (hasKey ($there.data | default dict) .key) -}}
{{- get $there.data .key -}}
{{- else -}}
{{- randAlphaNum .length | b64enc -}}
{{- end -}}
{{- end -}}

{{/* Host names that REST answers to, as the JSON list that the setting takes. */}}
{{- define "bookmill.allowedHosts" -}}
{{- $service := printf "%s-gateway" (include "bookmill.fullname" .) -}}
{{- $namespaced := printf "%s.%s" $service .Release.Namespace -}}
{{- $hosts := list "127.0.0.1" "localhost" "[::1]" $service $namespaced (printf "%s.svc" $namespaced) (printf "%s.svc.cluster.local" $namespaced) -}}
{{- if .Values.ingress.enabled }}{{- $hosts = append $hosts .Values.ingress.host }}{{- end -}}
{{- concat $hosts .Values.gateway.allowedHosts | uniq | toJson -}}
{{- end -}}
