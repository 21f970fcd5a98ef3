//go:build programs

// Package programs names the command that the lab's etcd is built from, so that go.sum covers it.
package programs

import _ "go.etcd.io/etcd/server/v3"
