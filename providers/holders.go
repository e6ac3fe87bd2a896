package providers

import (
	"context"
	"fmt"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Holders makes what asks forges who has names that clouds trust: of a forge, as package iam calls it, by the issuer of its tokens. Each name is asked about once; budget is
// how many requests it may send, 0 is DefaultOnline. What it could not learn is what it is unsure of. It is for one goroutine.
func Holders(env audit.Env, o Options, budget int) func(ctx context.Context, of, issuer, name string) audit.Holder {
	if budget == 0 {
		budget = DefaultOnline
	}
	type holder func(ctx context.Context, issuer, name string, ask func() error) (audit.Holder, error)
	forges := map[string]holder{"github": onGitHub(env, o).Holder, "gitlab": onGitLab(env, o).Holder, "gitea": onGitea(env, o).Holder}
	left, known := budget, map[string]audit.Holder{}
	ask := func() error {
		if left == 0 {
			return fmt.Errorf("%d requests were sent, and no more are allowed", budget)
		}
		left--
		return nil
	}
	return func(ctx context.Context, of, issuer, name string) audit.Holder {
		key := strings.ToLower(issuer + " " + name)
		h, asked := known[key]
		if asked || forges[of] == nil {
			return h
		}
		h, err := forges[of](ctx, issuer, name, ask)
		if err != nil {
			h = audit.Holder{Unsure: "who has it: " + forge.Plain(err).Error()}
		}
		known[key] = h
		return h
	}
}
