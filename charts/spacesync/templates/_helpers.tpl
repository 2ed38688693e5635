{{/*
Names are fixed, whatever the release is called: a second operator in a cluster would do all the work again, and its install
fails at the first cluster-wide object, which names the release that owns it.
*/}}
{{- define "spacesync.selector" -}}
app.kubernetes.io/name: spacesync
{{- end }}

{{- define "spacesync.labels" -}}
{{ include "spacesync.selector" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "spacesync.image" -}}
{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* As CEL knows the operator. */}}
{{- define "spacesync.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:spacesync
{{- end }}
