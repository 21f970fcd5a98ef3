{{/* What becomes of values, by the table files/support.yaml. `sluice install` does the same in Rust. */}}

{{/* A setting as one word: whatever was given, as a user would write it. */}}
{{- define "sluicegate.word" -}}
{{- if kindIs "invalid" . -}}
{{- else if kindIs "slice" . -}}
{{- $words := list -}}
{{- range . }}{{ $words = append $words (include "sluicegate.word" .) }}{{ end -}}
{{- join "," $words -}}
{{- else if kindIs "string" . -}}
{{- trim . -}}
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end }}

{{/* Collects every setting below .values into .into, by path. */}}
{{- define "sluicegate.leaves" -}}
{{- $here := . -}}
{{- range $name, $value := .values -}}
{{- $path := $name -}}
{{- if $here.path }}{{ $path = printf "%s.%s" $here.path $name }}{{ end -}}
{{- if kindIs "map" $value -}}
{{- include "sluicegate.leaves" (dict "values" $value "path" $path "into" $here.into) -}}
{{- else -}}
{{- $_ := set $here.into $path (include "sluicegate.word" $value) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The line of the table for .path, as JSON; nothing for a value that nobody knows. */}}
{{- define "sluicegate.line" -}}
{{- $found := dict -}}
{{- if hasKey .table .path -}}
{{- $_ := set $found "line" (get .table .path) -}}
{{- else -}}
{{- $parts := splitList "." .path -}}
{{- range $left := untilStep (len $parts) 0 -1 -}}
{{- $start := printf "%s.*" (join "." (slice $parts 0 $left)) -}}
{{- if and (not (hasKey $found "line")) (hasKey $.table $start) -}}
{{- $_ := set $found "line" (get $.table $start) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if hasKey $found "line" }}{{ toJson $found.line }}{{ end -}}
{{- end }}

{{/* An IPv4 prefix without its host bits; whatever else is given stays as it is. */}}
{{- define "sluicegate.cidr" -}}
{{- if regexMatch "^[0-9]{1,3}([.][0-9]{1,3}){3}/([0-9]|[12][0-9]|3[0-2])$" . -}}
{{- $halves := splitList "/" . -}}
{{- $address := 0 -}}
{{- range splitList "." (first $halves) }}{{ $address = add (mul $address 256) (int64 .) }}{{ end -}}
{{- $size := 1 -}}
{{- range until (int (sub 32 (int (last $halves)))) }}{{ $size = mul $size 2 }}{{ end -}}
{{- $address = mul (div $address $size) $size -}}
{{- $octets := list -}}
{{- range list 16777216 65536 256 1 }}{{ $octets = append $octets (mod (div $address .) 256) }}{{ end -}}
{{- printf "%s/%s" (join "." $octets) (last $halves) -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end }}

{{/* A setting as a key of the ConfigMap has it. */}}
{{- define "sluicegate.written" -}}
{{- if eq .form "words" -}}
{{- regexReplaceAll "[{},\\s]+" .word " " | trim -}}
{{- else if eq .form "cidr" -}}
{{- include "sluicegate.cidr" .word -}}
{{- else -}}
{{- .word -}}
{{- end -}}
{{- end }}

{{/* What is to be said of the values: a line each. */}}
{{- define "sluicegate.warnings" -}}
{{- $table := (.Files.Get "files/support.yaml" | fromYaml).values -}}
{{- $leaves := dict -}}
{{- include "sluicegate.leaves" (dict "values" .Values "path" "" "into" $leaves) -}}
{{- range $path, $word := $leaves -}}
{{- if $word -}}
{{- $line := include "sluicegate.line" (dict "table" $table "path" $path) -}}
{{- if not $line }}
{{ $path }}={{ $word }}: no such value; it has no effect
{{- else -}}
{{- $line = fromJson $line -}}
{{- $written := include "sluicegate.written" (dict "form" ($line.form | default "") "word" $word) -}}
{{- if and (eq ($line.form | default "") "cidr") (ne $word $written) }}
{{ $path }}={{ $word }}: has host bits set; {{ $written }} is used
{{- end -}}
{{- $asks := not (has $word ($line.quiet | default list)) -}}
{{- if $line.asks }}{{ $asks = has $word $line.asks }}{{ end -}}
{{- if and $line.missing $asks }}
{{ $path }}={{ $word }}: not implemented; {{ $line.missing }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The keys of the ConfigMap, as YAML. */}}
{{- define "sluicegate.keys" -}}
{{- $table := (.Files.Get "files/support.yaml" | fromYaml).values -}}
{{- $leaves := dict -}}
{{- include "sluicegate.leaves" (dict "values" .Values "path" "" "into" $leaves) -}}
{{- $keys := dict -}}
{{- range $path, $word := $leaves -}}
{{- $line := get $table $path | default dict -}}
{{- $written := include "sluicegate.written" (dict "form" ($line.form | default "") "word" $word) -}}
{{- if and $line.key $written }}{{ $_ := set $keys $line.key $written }}{{ end -}}
{{- end -}}
{{- if .Values.prometheus.enabled -}}
{{- $_ := set $keys "prometheus-serve-addr" (printf ":%s" (include "sluicegate.word" .Values.prometheus.port)) -}}
{{- end -}}
{{- with .Values.operator.prometheus -}}
{{- if .enabled -}}
{{- $_ := set $keys "operator-prometheus-serve-addr" (printf ":%s" (include "sluicegate.word" .port)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.encryption -}}
{{- if and .enabled (has .type (list "wireguard" "ipsec")) -}}
{{- $_ := set $keys (printf "enable-%s" .type) "true" -}}
{{- end -}}
{{- end -}}
{{- range $key, $value := .Values.extraConfig }}{{ $_ := set $keys $key (include "sluicegate.word" $value) }}{{ end -}}
{{- toYaml $keys -}}
{{- end }}
