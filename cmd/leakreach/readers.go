package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/graph"
)

// list scans what forges keep for jobs, with definitions and settings and no contents. The run lies in the store, or else in one that forget removes.
func (o *reachOptions) list(ctx context.Context, w world, refs []string) (forget func() error, err error) {
	forget = func() error { return nil }
	if o.store == "" {
		dir, err := os.MkdirTemp("", "leakreach-")
		if err != nil {
			return nil, fmt.Errorf("making a store: %w", err)
		}
		forget = func() error { return os.RemoveAll(dir) }
		o.store = filepath.Join(dir, "run.db")
	}
	args := []string{"scan", "--store", o.store, "--sources", listedSources.String(), "--verify", "off", "--fail-on", "none"}
	if o.config != "" {
		args = append(args, "--config", o.config)
	}
	if o.online {
		args = append(args, "--online")
	}
	w.stdout = io.Discard
	if code := run(ctx, append(args, refs...), w); code != exitOK && code != exitIncomplete {
		return nil, errors.Join(&exitError{code: code}, forget())
	}
	return forget, nil
}

// listedSources are those that say who can read what.
const listedSources = audit.SourceWorkflows | audit.SourceVariables | audit.SourceSecrets | audit.SourceSettings | audit.SourceRunners

// readers adds who can read what is named, if it is a secret or variable that jobs are handed, or what is lost with a component; and of "secrets" and
// "components" all. It tells whether there is any.
func (x *explainer) readers(name string) (known bool, err error) {
	secret, isSecret := strings.CutPrefix(name, "secret:")
	component, isComponent := strings.CutPrefix(name, "component:")
	if x.run == nil || !isSecret && !isComponent && name != "secrets" && name != "components" {
		return false, nil
	}
	if err := x.openAccess(); err != nil {
		return false, err
	}
	before := len(x.r.Readers) + len(x.r.Components)
	switch {
	case isSecret:
		for _, s := range x.access.Find(secret) {
			x.r.Readers = append(x.r.Readers, s)
			x.access.Join(x.r.Graph, s)
		}
	case name == "secrets":
		x.r.Listing = true
		for _, s := range x.access.All() {
			// Of variables that no listing shows, most are those of a shell.
			if s.Listed || s.Kind == audit.KindSecret {
				x.r.Readers = append(x.r.Readers, s)
			}
		}
		known = true
	default:
		x.r.Listing = x.r.Listing || !isComponent
		for _, l := range x.access.Losses() {
			if !isComponent || l.Component == component {
				x.r.Components = append(x.r.Components, l)
			}
		}
		known = !isComponent
	}
	return known || len(x.r.Readers)+len(x.r.Components) > before, nil
}

func (x *explainer) openAccess() (err error) {
	if x.access == nil {
		x.access, err = graph.NewAccess(x.run)
	}
	return err
}

// join adds to the graph who is handed the secrets of a forge that lead to a node.
func (x *explainer) join(n *graph.Node) error {
	if x.run == nil {
		return nil
	}
	if err := x.openAccess(); err != nil {
		return err
	}
	for _, origin := range x.r.Graph.Origins(n) {
		if name, ok := strings.CutPrefix(origin.ID, "secret:"); ok {
			for _, s := range x.access.Find(name) {
				x.access.Join(x.r.Graph, s)
			}
		}
	}
	return nil
}
