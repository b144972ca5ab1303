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

{{/*
What FilerPairs may ask for, as JSON: read by the operator (crds/grants.ts) and, since JSON is CEL, by the admission policy.
Every member is there, and is a list of strings: CEL wants values of one type.
*/}}
{{- define "filerpair.grants" -}}
{{- $grants := list -}}
{{- range .Values.allowed -}}
{{- $grant := dict "lostNodesSilentMin" (list (.lostNodesSilentMin | default "60s")) -}}
{{- $given := . -}}
{{- range list "namespaces" "features" "images" "nodeSelectors" "tolerations" "priorityClasses" "serviceAnnotations" "dnsDomains" "lostNodes" -}}
{{- $_ := set $grant . (get $given . | default list) -}}
{{- end -}}
{{- $grants = append $grants $grant -}}
{{- end -}}
{{- toJson $grants -}}
{{- end }}

{{/* Not empty: some FilerPair may have nodes marked as out of service. */}}
{{- define "filerpair.marksNodes" -}}
{{- range .Values.allowed }}{{ with .lostNodes }}yes{{ end }}{{ end -}}
{{- end }}
