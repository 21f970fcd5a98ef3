//go:build programs

// Package programs names the command that the lab's helm is built from, so that go.sum covers it.
package programs

import _ "helm.sh/helm/v3/cmd/helm"
