{{/* Names, labels and the image. */}}

{{- define "sluicegate.name" -}}
{{- if .Values.compat.cilium }}cilium{{ else }}sluicegate{{ end }}
{{- end }}

{{- define "sluicegate.operator" -}}
{{- include "sluicegate.name" . }}-operator
{{- end }}

{{- define "sluicegate.config" -}}
{{- include "sluicegate.name" . }}-config
{{- end }}

{{- define "sluicegate.account" -}}
{{- .Values.serviceAccounts.agent.name | default (include "sluicegate.name" .) }}
{{- end }}

{{- define "sluicegate.operatorAccount" -}}
{{- .Values.serviceAccounts.operator.name | default (include "sluicegate.operator" .) }}
{{- end }}

{{/* The name of the operators' lease is the programs' own. */}}
{{- define "sluicegate.lease" -}}sluicegate-operator{{- end }}

{{- define "sluicegate.labels" -}}
app.kubernetes.io/part-of: {{ include "sluicegate.name" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* What selects the agents' pods: it can never change for a DaemonSet that is there. */}}
{{- define "sluicegate.agentSelector" -}}
k8s-app: {{ include "sluicegate.name" . }}
{{- end }}

{{- define "sluicegate.operatorSelector" -}}
{{- if .Values.compat.cilium -}}
io.cilium/app: operator
name: cilium-operator
{{- else -}}
k8s-app: sluicegate-operator
{{- end }}
{{- end }}

{{- define "sluicegate.image" -}}
{{- with .Values.image -}}
{{- if .override -}}
{{ .override }}
{{- else -}}
{{ .repository }}:{{ .tag | default (printf "v%s" $.Chart.AppVersion) }}
{{- if and .useDigest .digest }}@{{ .digest }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Where the API server is, if it is not where Kubernetes says. */}}
{{- define "sluicegate.server" -}}
{{- $host := toString .Values.k8sServiceHost -}}
{{- if and $host (ne $host "auto") }}
- name: KUBERNETES_SERVICE_HOST
  value: {{ $host | quote }}
{{- end }}
{{- if .Values.k8sServicePort }}
- name: KUBERNETES_SERVICE_PORT
  value: {{ include "sluicegate.word" .Values.k8sServicePort | quote }}
{{- end }}
{{- end }}
