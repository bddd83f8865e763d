{{/*
One service: ServiceAccount, Deployment, headless Service, PodDisruptionBudget, HorizontalPodAutoscaler.

Call with (dict "root" $ "name" "clean") and, where the service has more:
  ports      more named ports, by name
  settings   settings as a map of strings
  files      what is mounted read-only below /etc/bookmill: volume sources, by the folder's name
  api        true when it talks to the Kubernetes API
  checksum   of settings that are read at start: pods are replaced when it changes
  headless   name of the headless Service, where the service's own name is another's
*/}}
{{- define "bookmill.service" -}}
{{- $root := .root -}}
{{- $values := get $root.Values.services .name -}}
{{- $fullname := printf "%s-%s" (include "bookmill.fullname" $root) .name -}}
{{- $labels := dict "root" $root "component" .name -}}
{{- $files := merge (dict "store" (dict "secret" (dict "secretName" (include "bookmill.storeSecret" $root)))) (default dict .files) -}}
{{- range $folder, $secret := $values.secretFiles }}{{- $_ := set $files $folder (dict "secret" (dict "secretName" $secret)) }}{{- end -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $fullname }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "bookmill.labels" $labels | nindent 4 }}
automountServiceAccountToken: false
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $fullname }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "bookmill.labels" $labels | nindent 4 }}
spec:
  {{- if not $values.autoscaling.enabled }}
  replicas: {{ $values.replicas }}
  {{- end }}
  # A new pod is ready before an old one ends, so that no call is lost.
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
  selector:
    matchLabels: {{- include "bookmill.selector" $labels | nindent 6 }}
  template:
    metadata:
      labels: {{- include "bookmill.labels" $labels | nindent 8 }}
      {{- with .checksum }}
      annotations:
        checksum/settings: {{ . }}
      {{- end }}
    spec:
      serviceAccountName: {{ $fullname }}
      # The token of a service that needs one is mounted below, for an hour at a time.
      automountServiceAccountToken: false
      # Variables such as BOOKMILL_TRAIN_PORT=tcp://… would be taken for settings.
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ $root.Values.terminationGracePeriodSeconds }}
      {{- with $root.Values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- include "bookmill.pullSecrets" $root | nindent 6 }}
      {{- include "bookmill.podSecurity" $root | nindent 6 }}
      {{- with $values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "bookmill.selector" $labels | nindent 14 }}
      containers:
        - name: {{ .name }}
          image: {{ include "bookmill.image" (dict "root" $root "image" .name) }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          {{- include "bookmill.containerSecurity" $root | nindent 10 }}
          env:
            {{- $own := dict
              "BOOKMILL_HOST" "0.0.0.0"
              "BOOKMILL_PORT" "50051"
              "BOOKMILL_NOT_SERVING_SECONDS" "2"
              "BOOKMILL_DRAIN_SECONDS" (sub $root.Values.terminationGracePeriodSeconds 15 | toString) }}
            {{- $store := include "bookmill.storeSettings" $root | fromYaml }}
            {{- include "bookmill.environment" (list $own $store .settings $values.env) | nindent 12 }}
          ports:
            - {name: grpc, containerPort: 50051}
            {{- range $name, $port := .ports }}
            - {name: {{ $name }}, containerPort: {{ $port }}}
            {{- end }}
          startupProbe:
            grpc: {port: 50051}
            periodSeconds: 1
            failureThreshold: 120
          readinessProbe:
            grpc: {port: 50051}
            periodSeconds: 2
            timeoutSeconds: 3
            failureThreshold: 2
          livenessProbe:
            grpc: {port: 50051}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          lifecycle:
            # The end points are told first: until they have heard, calls still come here and are served.
            preStop:
              sleep: {seconds: 5}
          resources: {{- toYaml $values.resources | nindent 12 }}
          volumeMounts:
            - name: tmp
              mountPath: /tmp
            {{- range $folder, $_ := $files }}
            - name: {{ $folder }}
              mountPath: /etc/bookmill/{{ $folder }}
              readOnly: true
            {{- end }}
            {{- if .api }}
            - name: api
              mountPath: /var/run/secrets/kubernetes.io/serviceaccount
              readOnly: true
            {{- end }}
      volumes:
        - name: tmp
          emptyDir:
            sizeLimit: {{ $values.scratch }}
        {{- range $folder, $source := $files }}
        {{- if $source.secret }}
        {{- $_ := set $source.secret "defaultMode" 288 }} {{- /* 0440: for the pod's group alone */}}
        {{- end }}
        - name: {{ $folder }}
          {{- toYaml $source | nindent 10 }}
        {{- end }}
        {{- if .api }}
        - name: api
          projected:
            sources:
              - serviceAccountToken: {path: token, expirationSeconds: 3600}
              - configMap:
                  name: kube-root-ca.crt
                  items: [{key: ca.crt, path: ca.crt}]
              - downwardAPI:
                  items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]
        {{- end }}
---
# Headless: clients see every pod and spread their calls themselves (round robin of gRPC).
apiVersion: v1
kind: Service
metadata:
  name: {{ default $fullname .headless }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "bookmill.labels" $labels | nindent 4 }}
spec:
  clusterIP: None
  selector: {{- include "bookmill.selector" $labels | nindent 4 }}
  ports:
    - {name: grpc, port: 50051, targetPort: grpc, appProtocol: kubernetes.io/h2c}
    {{- range $name, $port := .ports }}
    - {name: {{ $name }}, port: {{ $port }}, targetPort: {{ $name }}}
    {{- end }}
{{- if or (gt (int $values.replicas) 1) $values.autoscaling.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $fullname }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "bookmill.labels" $labels | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "bookmill.selector" $labels | nindent 6 }}
{{- end }}
{{- if $values.autoscaling.enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $fullname }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "bookmill.labels" $labels | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ $fullname }}}
  minReplicas: {{ $values.replicas }}
  maxReplicas: {{ $values.autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $values.autoscaling.cpuPercent }}
{{- end }}
{{- end -}}
