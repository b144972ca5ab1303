{{/* Name of the operator's objects: one operator for a cluster, so the release's name is enough. */}}
{{- define "filerpair.operatorName" -}}
{{ printf "%s-operator" .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "filerpair.selectorLabels" -}}
app.kubernetes.io/name: filerpair-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "filerpair.labels" -}}
{{ include "filerpair.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: filerpair
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "filerpair.operatorImage" -}}
{{ .Values.image.operator | default (printf "filerpair/operator:%s" .Chart.AppVersion) }}
{{- end }}

{{- define "filerpair.fileserverImage" -}}
{{ .Values.image.fileserver | default (printf "filerpair/fileserver:%s" .Chart.AppVersion) }}
{{- end }}
