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

{{/* Image of a program, by its name: as a whole if the values say so, else in the registry by tag, and by digest if there is one. */}}
{{- define "filerpair.image" -}}
{{- $image := .root.Values.image -}}
{{- with get $image .name -}}
{{ . }}
{{- else -}}
{{- $registry := required "image.registry is empty: say where the images are. \"make publish REGISTRY=...\" pushes them, and a chart that knows where" $image.registry -}}
{{- printf "%s/%s:%s" (trimSuffix "/" $registry) .name .root.Chart.AppVersion }}{{ with get $image.digests .name }}@{{ . }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "filerpair.operatorImage" -}}
{{ include "filerpair.image" (dict "root" . "name" "operator") }}
{{- end }}

{{- define "filerpair.fileserverImage" -}}
{{ include "filerpair.image" (dict "root" . "name" "fileserver") }}
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
