// Package components asks what other people's code stands for that pipelines name: which commit a tag or branch is today, what the file of that commit
// pulls in itself, whether the repository has that commit at all, and which advisories there are of it.
//
// A newcomer starts with [New] and [Resolver.Resolve]. Repositories are asked by git's own protocol, which no quota counts: for each a listing of its branches and
// tags, and then for the few objects that lead to a file. Names and files come from whoever can push to what is scanned, or to what that names: requests,
// bytes, depths and hosts are bounded, and what is beyond a bound is a gap.
package components

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/pipeline/advisory"
	"github.com/leakreach/leakreach/pipeline/resolve"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// DefaultBudget is how many requests a run may send where nobody says: a repository takes five, and an organisation of a thousand repositories names
// some three hundred others.
const DefaultBudget = 2000

const (
	// maxDepth is how deep components that pull in others are followed: GitHub's runner follows actions in actions nine levels deep.
	maxDepth = 9
	// maxOrigins is how many components one run can name. An organisation of a thousand repositories has some thousand.
	maxOrigins = 50_000
	// atOnce is how many repositories are asked at once.
	atOnce = 8
)

// publicHosts are those that a definition may name by their address: others would have us ask whatever host somebody has written down.
var publicHosts = []string{"github.com", "gitlab.com", "gitea.com", "codeberg.org", "code.forgejo.org", "data.forgejo.org"}

// Options say what may be asked.
type Options struct {
	Budget int // requests in all; 0 is DefaultBudget
	// Servers have the repositories of each forge, by what [resolve.Origin] calls it, and of [GiteasOwn].
	Servers map[string]func() (forge.Server, error)
	// Advisories lists those of actions, by the name that they call the action by, in lower case. It calls ask before each request. Nil has none.
	Advisories func(ctx context.Context, ask func() error) (map[string][]resolve.Advisory, error)
}

// A Resolver is an [audit.Resolver].
type Resolver struct {
	env     audit.Env
	opts    Options
	http    *http.Client
	left    atomic.Int64 // requests
	kept    *keeper
	servers map[string]forge.Server

	feed       *advisory.Feed                // of compromises, which have records that say more
	advisories map[string][]resolve.Advisory // by name
}

// New makes a resolver. It fails only if a record of a compromise cannot be read.
func New(env audit.Env, o Options) (*Resolver, error) {
	feed, err := advisory.Load()
	if err != nil {
		return nil, err
	}
	if o.Budget == 0 {
		o.Budget = DefaultBudget
	}
	client := *env.HTTP
	r := &Resolver{env: env, opts: o, http: &client, kept: newKeeper(env), servers: map[string]forge.Server{}, feed: feed}
	r.left.Store(int64(o.Budget))
	next := client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	client.Transport = &meter{r, next}
	return r, nil
}

// errBudget says that no request may be sent any more.
var errBudget = errors.New("the run's requests for components are used up")

// spend takes a request out of those that there may be.
func (r *Resolver) spend() error {
	if r.left.Add(-1) < 0 {
		return errBudget
	}
	return nil
}

// A meter lets as many requests pass as there may be.
type meter struct {
	*Resolver
	next http.RoundTripper
}

func (m *meter) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := m.spend(); err != nil {
		return nil, err
	}
	m.env.Calls.Add("git", 1)
	return m.next.RoundTrip(req)
}

// A want is a component to be asked about.
type want struct {
	resolve.Origin
	kind    pipeline.ComponentKind
	target  string // that names it, or what names it
	meaning *resolve.Meaning
	gaps    []string // why something of it is not known
}

// Resolve implements [audit.Resolver]. Each component is asked about once, whoever names it.
func (r *Resolver) Resolve(ctx context.Context, holdings iter.Seq[audit.Holding]) iter.Seq2[audit.Entry, error] {
	return func(yield func(audit.Entry, error) bool) {
		seen := map[string]bool{}
		wave, held, dropped := collect(holdings, seen)
		if gap := r.advise(ctx, wave); gap != nil {
			dropped = append(dropped, *gap)
		}
		unasked := []*want{} // as the budget did not allow it
		for depth := 0; len(wave) > 0; depth++ {
			if depth > maxDepth {
				dropped = append(dropped, audit.Gap{Target: wave[0].target, What: "components", Why: fmt.Sprintf("nested deeper than %d levels: %d are not asked about, among them %s", maxDepth, len(wave), wave[0])})
				break
			}
			r.ask(ctx, wave)
			if ctx.Err() != nil {
				yield(audit.Entry{}, ctx.Err())
				return
			}
			var next []*want
			for _, w := range wave {
				if w.meaning == nil && slices.Contains(w.gaps, errBudget.Error()) {
					unasked = append(unasked, w)
					continue
				}
				for _, why := range w.gaps {
					if !yield(audit.Entry{}, &audit.Gap{Target: w.target, What: "component " + w.String(), Why: why}) {
						return
					}
				}
				if w.meaning == nil {
					continue
				}
				if !yield(w.meaning.Entry(), nil) {
					return
				}
				for _, c := range w.meaning.Parts {
					for _, c := range held.meanings(c) {
						if part, ok := w.Part(&c); ok && !seen[part.Key()] && len(seen) < maxOrigins {
							seen[part.Key()] = true
							next = append(next, &want{Origin: part, kind: c.Kind, target: w.target})
						}
					}
				}
			}
			wave = next
		}
		if len(unasked) > 0 {
			dropped = append(dropped, audit.Gap{Target: unasked[0].target, What: "components", Why: fmt.Sprintf(
				"%d requests were sent, and no more are allowed: %d are not asked about, among them %s", r.opts.Budget, len(unasked), unasked[0])})
		}
		for i := range dropped {
			if !yield(audit.Entry{}, &dropped[i]) {
				return
			}
		}
	}
}

// commits are those at which lock files hold components, by pins: each at several in a run.
type commits map[string]map[string]bool

func (held commits) add(c *pipeline.Component) {
	pin := pipeline.PinOf(c)
	if held[pin] == nil {
		held[pin] = map[string]bool{}
	}
	held[pin][c.Commit] = true
}

// meanings are a component as it is written, and as lock files hold it. What pulls it in is asked about once for all jobs, of which some go by a lock file.
func (held commits) meanings(c pipeline.Component) []pipeline.Component {
	list := []pipeline.Component{c}
	if c.Pin != pipeline.Named {
		return list
	}
	for _, commit := range slices.Sorted(maps.Keys(held[pipeline.PinOf(&c)])) {
		c.Pin, c.Commit = pipeline.Locked, commit
		list = append(list, c)
	}
	return list
}

// collect are the components that targets' jobs name, in a stable order, and at which commits lock files hold what those pull in.
func collect(holdings iter.Seq[audit.Holding], seen map[string]bool) (list []*want, held commits, gaps []audit.Gap) {
	held = commits{}
	for h := range holdings {
		full := false
		for i := range h.Inventory {
			if h.Inventory[i].Kind != audit.KindJob {
				continue
			}
			j := resolve.FromEntry(h.Inventory[i])
			for _, c := range slices.Concat(j.Beside, j.Includes) {
				if c.Pin == pipeline.Locked {
					held.add(&c.Component)
				}
				o, ok := resolve.OriginOf(h.Coverage.Target, j.Workflow, &c.Component)
				if !ok || seen[o.Key()] || j.ByLock(&c) != nil { // in which folder it lies, what pulls it in will say
					continue
				}
				if full = len(seen) == maxOrigins; full {
					break
				}
				seen[o.Key()] = true
				list = append(list, &want{Origin: o, kind: c.Kind, target: h.Coverage.Target})
			}
		}
		if full {
			return list, held, []audit.Gap{{Target: h.Coverage.Target, What: "components", Why: fmt.Sprintf("there are more than %d: the others are not asked about", maxOrigins)}}
		}
	}
	return list, held, nil
}

// ask learns what components stand for: each repository of them at once.
func (r *Resolver) ask(ctx context.Context, wants []*want) {
	of := map[string][]*want{} // by address
	servers := map[string]forge.Server{}
	for _, w := range wants {
		server, err := r.serverOf(w)
		if err != nil {
			w.gaps = []string{err.Error()}
			continue
		}
		address := strings.ToLower(server.Origin.JoinPath(w.Repository).String())
		of[address], servers[address] = append(of[address], w), server
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, address := range slices.Sorted(maps.Keys(of)) {
		group.Go(func() error {
			repo := &repository{Resolver: r, server: servers[address], name: of[address][0].Repository}
			if err := repo.resolve(ctx, address, of[address]); err != nil {
				for _, w := range of[address] {
					w.meaning, w.gaps = nil, []string{r.why(err)}
				}
			}
			return nil // of one repository, which is no reason to leave the others
		})
	}
	_ = group.Wait()
}

// why is an error as a gap says it. What lies between us and the network may have put other words in place of ours.
func (r *Resolver) why(err error) string {
	if r.left.Load() < 0 {
		return errBudget.Error()
	}
	return err.Error()
}

// GiteasOwn is the server that a Gitea or Forgejo is itself; "gitea" is where its runners find actions.
const GiteasOwn = "gitea itself"

// serverOf is where a component lies. A reusable workflow without an address is one of the server that the pipeline is on, whatever its actions are taken from
// (gitea.com/gitea/act, newRemoteReusableWorkflowExecutor).
func (r *Resolver) serverOf(w *want) (forge.Server, error) {
	if w.Source == "gitea" && w.IsWorkflow() {
		return r.server(GiteasOwn)
	}
	return r.server(w.Source)
}

// server is where a source's repositories lie. It is asked from one goroutine.
func (r *Resolver) server(source string) (s forge.Server, err error) {
	if s, ok := r.servers[source]; ok {
		return s, nil
	}
	if known := r.opts.Servers[source]; known != nil {
		s, err = known()
	} else {
		s, err = r.named(source)
	}
	if err == nil {
		r.servers[source] = s
	}
	return s, err
}

// named is the server at an address that a definition has: one of those that we have credentials for, or one that everybody may ask.
func (r *Resolver) named(source string) (s forge.Server, err error) {
	origin, err := url.Parse(source)
	if err != nil || origin.Scheme != "https" && origin.Scheme != "http" {
		return s, fmt.Errorf("which server has it is not known")
	}
	for _, name := range slices.Sorted(maps.Keys(r.opts.Servers)) {
		if s, err = r.server(name); err == nil && forge.SameOrigin(s.Origin, origin) {
			return s, nil
		}
	}
	if origin.Scheme != "https" || !slices.Contains(publicHosts, origin.Host) {
		return s, fmt.Errorf("%.100q is no server that is asked because a definition names it", source)
	}
	return forge.Server{Origin: origin}, nil
}

// repositoryName is what can stand in an address: an owner, or groups, and a name.
var repositoryName = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9._-]+)+$`)

// validName tells whether a repository's name leads to no other place.
func validName(name string) bool {
	return len(name) <= 300 && repositoryName().MatchString(name) && !slices.ContainsFunc(strings.Split(name, "/"), func(part string) bool { return strings.Trim(part, ".") == "" })
}
