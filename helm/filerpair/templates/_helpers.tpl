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

{{/* Images of file servers that may run privileged, as a CEL list: JSON is CEL. */}}
{{- define "filerpair.privilegedImages" -}}
{{- $images := list (include "filerpair.fileserverImage" .) -}}
{{- if .Values.defaultClass.enabled -}}
{{- with .Values.defaultClass.images }}{{ with .server }}{{ $images = append $images . }}{{ end }}{{ end -}}
{{- end -}}
{{- toJson (concat $images .Values.image.otherFileservers) -}}
{{- end }}

{{/* Not empty: some FilerPair may have nodes marked as out of service. */}}
{{- define "filerpair.marksNodes" -}}
{{- if .Values.nodes.mayMarkOutOfService }}yes{{ end -}}
{{- with .Values.defaultClass.limits }}{{ with .lostNodes }}yes{{ end }}{{ end -}}
{{- end }}
