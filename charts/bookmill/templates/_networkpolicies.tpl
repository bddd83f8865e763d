{{/* One NetworkPolicy's head; call with (dict "root" $ "name" "dns"). What it selects and allows follows. */}}
{{- define "bookmill.policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "bookmill.fullname" .root }}-{{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "bookmill.labels" (dict "root" .root) | nindent 4 }}
{{- end -}}

{{/* Pods of the release with one of some components; call with (dict "root" $ "components" (list "ingest" …)). */}}
{{- define "bookmill.pods" -}}
podSelector:
  matchLabels: {{- include "bookmill.selector" (dict "root" .root) | nindent 4 }}
  matchExpressions:
    - {key: app.kubernetes.io/component, operator: In, values: {{ toJson .components }}}
{{- end -}}

{{- define "bookmill.clients" -}}
podSelector:
  matchLabels: {{- toYaml .Values.networkPolicy.clientLabel | nindent 4 }}
{{- end -}}

{{/* Ports of a rule from a list of numbers. */}}
{{- define "bookmill.tcp" -}}
ports:
{{- range . }}
  - {protocol: TCP, port: {{ int . }}}
{{- end }}
{{- end -}}

{{/* Where the external store is: its ports. */}}
{{- define "bookmill.externalPorts" -}}
{{- $external := .Values.objectStore.external -}}
{{- $default := ternary "443" "80" $external.secure -}}
{{- $port := default $default (regexFind ":[0-9]+$" $external.endpoint | trimPrefix ":") -}}
{{- default (list $port) $external.ports | toJson -}}
{{- end -}}

{{/* Egress rules to the Kubernetes API: as given, else as the cluster says, else the private ranges. */}}
{{- define "bookmill.apiServer" -}}
{{- $policy := .Values.networkPolicy -}}
{{- $service := dict -}}
{{- if not $policy.apiServerCidrs }}{{ $service = lookup "v1" "Service" "default" "kubernetes" }}{{ end -}}
{{- if not $service -}}
- to:
  {{- range default (list "10.0.0.0/8" "172.16.0.0/12" "192.168.0.0/16" "fc00::/7") $policy.apiServerCidrs }}
    - ipBlock: {cidr: {{ . | quote }}}
  {{- end }}
  {{- include "bookmill.tcp" $policy.apiServerPorts | nindent 2 }}
{{- else -}}
- to:
  {{- range $service.spec.clusterIPs }}
    - ipBlock: {cidr: {{ include "bookmill.oneAddress" . }}}
  {{- end }}
  ports:
  {{- range $service.spec.ports }}
    - {protocol: TCP, port: {{ int .port }}}
  {{- end }}
{{- $slice := lookup "discovery.k8s.io/v1" "EndpointSlice" "default" "kubernetes" }}
{{- with $slice.endpoints }}
- to:
  {{- range . }}{{ range .addresses }}
    - ipBlock: {cidr: {{ include "bookmill.oneAddress" . }}}
  {{- end }}{{ end }}
  ports:
  {{- range $slice.ports }}
    - {protocol: TCP, port: {{ int .port }}}
  {{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* Whether the public internet is also that of IPv6: as given, else as the cluster says, else yes. "true" or empty. */}}
{{- define "bookmill.publicIPv6" -}}
{{- $given := .Values.networkPolicy.publicIPv6 -}}
{{- if eq (toString $given) "auto" -}}
{{- $service := lookup "v1" "Service" "default" "kubernetes" -}}
{{- if or (not $service) (has "IPv6" (default list $service.spec.ipFamilies)) }}true{{ end -}}
{{- else if $given }}true{{ end -}}
{{- end -}}

{{- define "bookmill.oneAddress" -}}
{{- printf "%s/%s" . (ternary "128" "32" (contains ":" .)) | quote -}}
{{- end -}}
