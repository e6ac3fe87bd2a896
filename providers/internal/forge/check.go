package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

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

// Reach asks the git server for the refs of a repository, as the beginning of a clone does, and fetches nothing.
func (c Clone) Reach(ctx context.Context, env audit.Env) error {
	env.Cache = audit.Cache{}
	_, _, err := c.dial(ctx, env)
	if err != nil && c.Token != "" {
		err = plainError{redact(err.Error(), c.Token), err}
	}
	return err
}

// A plainError says something else than what it wraps.
type plainError struct {
	text  string
	cause error
}

func (e plainError) Error() string { return e.text }
func (e plainError) Unwrap() error { return e.cause }

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
