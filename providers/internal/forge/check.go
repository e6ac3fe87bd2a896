package forge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// Tell yields what tell sends. send fails once ctx has ended or the consumer has broken off, and tell returns its error. Any other error comes last.
func Tell[T any](ctx context.Context, tell func(send func(...T) error) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		broken := errors.New("broken off")
		err := tell(func(all ...T) error {
			for _, x := range all {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if !yield(x, nil) {
					return broken
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, broken) {
			var none T
			yield(none, err)
		}
	}
}

// Tried makes of how a request ended what it says of the right that the request takes. where is what it was tried on.
func Tried(c audit.Check, where string, err error) audit.Check {
	e := (*Error)(nil)
	switch status := StatusOf(err); {
	case err == nil:
		c.State, c.Evidence, c.Fix = audit.Granted, "tried on "+where, ""
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound:
		c.State = audit.Missing
		c.Evidence = Gap("", "", err).Why + ", on " + where
	default:
		c.State, c.Evidence, c.Fix = audit.Unproven, Gap("", "", err).Why+", on "+where, ""
	}
	if errors.As(err, &e) && !e.Until.IsZero() {
		c.State, c.Fix = audit.Unproven, ""
	}
	return c
}

// Requests tells of the requests that a quota grants. percent of them are ours.
func Requests(quota string, limit, left, percent int, reset time.Time) audit.Check {
	c := audit.Check{For: "requests", Needs: "some left of the quota " + quota, State: audit.Granted}
	b := budget{limit: limit, remaining: left, reserve: limit - limit*percent/100}
	c.Evidence = fmt.Sprintf("%d of %d left", left, limit)
	if !reset.IsZero() {
		c.Evidence += ", until " + reset.UTC().Format(time.RFC3339)
	}
	c.Evidence += fmt.Sprintf("; a scan leaves %d to people", b.reserve)
	if b.ours() <= 0 {
		c.State, c.Fix = audit.Missing, "wait until then, or give a further token, of another user"
	}
	return c
}

// Host tells whether an API answers. what it is, is said only if it does.
func Host(address, what string, err error) audit.Check {
	c := audit.Check{For: "host", Needs: address + " answers", State: audit.Granted, Evidence: what}
	switch status := StatusOf(err); {
	case err == nil, status != 0: // whatever it says, it is there
	default:
		c.State, c.Evidence = audit.Missing, plainText(err.Error(), 300)
		c.Fix = "check the address, the network and the proxy (HTTPS_PROXY)"
	}
	return c
}

// Names joins what is set of some environment variables; "" if none is.
func Names(getenv func(string) string, names ...string) string {
	var set []string
	for _, name := range names {
		if strings.TrimSpace(getenv(name)) != "" {
			set = append(set, name)
		}
	}
	return strings.Join(set, ", ")
}

// mostSampled is how many repositories are looked at for one that has what a right can be tried on.
const mostSampled = 10

// Sample is what rights can be tried on: what comes first in a listing of targets, up to a page of repositories, of which some are chosen. Private
// ones come first, since of public ones everybody may read some things, and archived ones last.
func Sample(targets iter.Seq2[audit.Target, error], page int) (owners, repositories []audit.Target, err error) {
	for t, err := range targets {
		gap := (*audit.Gap)(nil)
		switch {
		case errors.As(err, &gap):
		case err != nil:
			return nil, nil, err
		case t.Kind == audit.TargetRepository:
			repositories = append(repositories, t)
		case t.Kind != audit.TargetWiki && len(owners) < page:
			owners = append(owners, t)
		}
		if len(repositories) == page {
			break
		}
	}
	slices.SortStableFunc(repositories, func(a, b audit.Target) int { // "false" before "true"
		return cmp.Or(strings.Compare(b.Attrs["private"], a.Attrs["private"]), strings.Compare(a.Attrs["archived"], b.Attrs["archived"]))
	})
	return owners, repositories[:min(len(repositories), mostSampled)], nil
}

// IsPublic tells whether everybody may read some things of a target.
func IsPublic(t audit.Target) bool { return t.Attrs["private"] != "true" }

// Git tells whether the git server lets a repository be read.
func Git(ctx context.Context, env audit.Env, c Clone, right string) audit.Check {
	check := audit.Check{For: "git", Sources: Contents, Needs: right, State: audit.Granted, Evidence: "tried on " + c.Address}
	err := c.reach(ctx, env)
	switch {
	case err == nil:
	case errors.Is(err, audit.ErrNothing):
		check.Evidence = c.Address + " is empty, or not there"
	default:
		check.State, check.Evidence = audit.Missing, plainText(redact(err.Error(), c.Token), 300)
		if check.Fix = audit.HintOf(err); check.Fix == "" {
			check.Fix = "check the network and the proxy (HTTPS_PROXY)"
		}
	}
	return check
}

// reach asks the git server for the refs of a repository, as the beginning of a clone does, and fetches nothing.
func (c Clone) reach(ctx context.Context, env audit.Env) error {
	env.Cache = audit.Cache{}
	_, _, err := c.dial(ctx, env)
	return err
}

// Chosen says which host the environment chooses.
func Chosen(address, what string) audit.Check {
	return audit.Check{For: "host", Needs: address, State: audit.Unproven, Evidence: what}
}

// Given says which credential the environment gives. from is the one that is used, set are all.
func Given(needs, from, set string) audit.Check {
	c := audit.Check{For: "credential", Needs: needs, State: audit.Granted, Evidence: from + " is used"}
	switch {
	case from == "":
		c.State, c.Evidence = audit.Missing, "none is set"
	case set != from:
		c.Evidence += ", of " + set
	}
	return c
}
