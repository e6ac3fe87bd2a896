package forge

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/git"
	"github.com/leakreach/leakreach/providers/internal/wire"
)

// Clone says how the repository of a target is fetched and where its pages are.
type Clone struct {
	Address         string // as [RepositoryURL] made it
	Username, Token string // Token "" for none
	Since           string // only history since this commit or date; "" for all
	Newest          bool   // only the files of the default branch as they are now
	AllRefs         bool   // also what is no branch, tag or note, such as the refs of pull and merge requests
	Blobs, Commits  string // web addresses that the commit id, and for a file "/" and its path, are added to
	Sleep           func(context.Context, time.Duration) error
}

// cloneTries is how often a clone is tried that the server or the network broke.
const cloneTries = 2

// History clones a target's repository and yields what [git.Repository.Items] does, with web addresses. A repository
// that cannot be cloned is a gap.
func History(ctx context.Context, env audit.Env, target string, c Clone) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		r, err := clone(ctx, env, c)
		if err != nil {
			if ctx.Err() != nil {
				yield(audit.Item{}, ctx.Err())
				return
			}
			why := redact(err.Error(), c.Token)
			if hint := audit.HintOf(err); hint != "" {
				why += "; " + hint
			}
			yield(audit.Item{}, &audit.Gap{Target: target, What: "git history", Why: plainText(why, 500)})
			return
		}
		defer func() { _ = r.Close() }()
		if c.Newest {
			c.Since = "" // a limit to history
		}
		for it, err := range r.Items(ctx, git.Options{Since: c.Since}) {
			if gap := (*audit.Gap)(nil); errors.As(err, &gap) && gap.Target == "" {
				gap.Target = target
			}
			it.At.URL = c.page(it.At)
			if !yield(it, err) {
				return
			}
		}
	}
}

func clone(ctx context.Context, env audit.Env, c Clone) (*git.Repository, error) {
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	options := git.CloneOptions{
		HTTP: env.HTTP, Getenv: env.Getenv, Username: c.Username, Token: c.Token, Newest: c.Newest, AllRefs: c.AllRefs, Memory: env.Memory,
	}
	options.AllowHTTP = strings.HasPrefix(c.Address, "http:") // then the user's own address of the API is without TLS, too
	for try := 1; ; try++ {
		r, err := git.Clone(ctx, c.Address, options)
		final := errors.Is(err, audit.ErrAuth) || errors.Is(err, audit.ErrNothing) || errors.Is(err, audit.ErrUsage) ||
			errors.Is(err, wire.ErrTooLarge)
		if err == nil || final || try == cloneTries || ctx.Err() != nil {
			return r, err
		}
		env.Log.Debug("cloning again", "address", c.Address, "error", err)
		if err := c.Sleep(ctx, 5*time.Second); err != nil {
			return nil, err
		}
	}
}

// page is the web address of a place in the history, as far as one is known.
func (c Clone) page(at audit.Location) string {
	switch {
	case at.Commit == "":
		return ""
	case at.Path == "":
		return c.Commits + at.Commit
	}
	path := (&url.URL{Path: at.Path}).EscapedPath()
	return c.Blobs + at.Commit + "/" + path
}
