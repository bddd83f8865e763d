{{/* What the services that run Jobs are told of the cluster: services/jobs reads these files. */}}

{{- define "bookmill.jobs" -}}
{{- printf "%s-jobs" (include "bookmill.fullname" .) -}}
{{- end -}}

{{- define "bookmill.trainCluster" -}}
{{- $image := printf "train-%s" (ternary "gpu" "cpu" (eq .Values.trainer.accelerator "nvidia")) -}}
{{- include "bookmill.cluster" (dict "root" . "values" .Values.trainer "image" $image) }}
accelerator: {{ .Values.trainer.accelerator }}
{{- with .Values.trainer.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "bookmill.exportCluster" -}}
{{- include "bookmill.cluster" (dict "root" . "values" .Values.exporter "image" "exporter") }}
accelerator: cpu
{{- end -}}

{{/* Call with (dict "root" $ "values" .Values.trainer "image" "train-gpu"). */}}
{{- define "bookmill.cluster" -}}
{{- $image := .root.Values.image -}}
namespace: {{ .root.Release.Namespace }}
image: {{ include "bookmill.image" (dict "root" .root "image" .image) }}
imagePullPolicy: {{ $image.pullPolicy }}
imagePullSecrets: {{ toJson $image.pullSecrets }}
serviceAccountName: {{ include "bookmill.jobs" .root }}
# Goes with the release, and the Jobs with it.
owner: {apiVersion: v1, kind: ConfigMap, name: {{ include "bookmill.jobs" .root }}}
# The component, `trainer` or `exporter`, is added.
labels: {{- include "bookmill.selector" (dict "root" .root) | nindent 2 }}
{{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
{{- end }}
nodeSelector: {{ toJson .values.nodeSelector }}
tolerations: {{ toJson .values.tolerations }}
{{- with .values.queueName }}
queueName: {{ . }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
activeDeadlineSeconds: {{ .values.activeDeadlineSeconds | int64 }}
ttlSecondsAfterFinished: {{ .values.ttlSecondsAfterFinished | int64 }}
terminationGracePeriodSeconds: {{ .values.terminationGracePeriodSeconds | int64 }}
resources: {{ toJson .values.resources }}
sharedMemory: {{ .values.sharedMemory }}
threads: {{ .values.threads | int }}
storeSecret: {{ include "bookmill.storeSecret" .root }}
storeSettings: {{- include "bookmill.storeSettings" .root | nindent 2 }}
{{- end -}}
