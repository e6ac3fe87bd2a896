// Package gitea has tests only: the program and its provider against a real Gitea, which `make tools` builds.
package gitea
