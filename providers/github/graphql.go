package github

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/pipeline"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// graph is GitHub's GraphQL API. It is asked for what it has of many repositories at once; what it refuses is asked of REST.
type graph struct {
	api     *http.Client
	address string
	env     audit.Env

	refused atomic.Bool  // it does not know the query, or nobody may use it
	failed  atomic.Int32 // queries about single repositories in a row that came to nothing
	mu      sync.Mutex
	batches []*batch // the latest last
}

// graphAddress is where GraphQL is beside a REST API: /graphql, and on a GitHub Enterprise Server, whose REST lies in /api/v3, /api/graphql.
func graphAddress(rest *url.URL) string {
	u := *rest
	u.Path = strings.TrimSuffix(u.Path, "/v3") + "/graphql"
	u.RawPath = ""
	return u.String()
}

// batchSize is how many repositories a query is about. GitHub breaks off what takes ten seconds, as queries about a hundred repositories with their
// workflows do.
const batchSize = 25

// nodeID is a repository's in GraphQL.
var nodeID = lazyregexp.New(`^[A-Za-z0-9_=-]{1,64}$`)

// A batch are repositories that were listed together, and are asked about together.
type batch struct {
	ids  string
	once sync.Once
	mu   sync.Mutex
	all  map[string]*overview // those that nobody has taken yet
}

// keptBatches is how many answers are kept for targets that are still to come. Eight are read at a time in the order in which they were listed: two
// batches.
const keptBatches = 4

// overview returns what GraphQL has of a target, or nil. It asks for the target's neighbours with it, whose turn is next: what they were told is for
// one reading each, so that who asks again is told what is true by then.
func (g *graph) overview(ctx context.Context, t audit.Target, texts bool) *overview {
	id := t.Attrs["node"]
	if g.refused.Load() || !nodeID().MatchString(id) {
		return nil
	}
	if b := g.batch(t.Attrs["batch"]); b != nil {
		b.once.Do(func() {
			all := g.ask(ctx, strings.Fields(b.ids), texts)
			b.mu.Lock()
			b.all = all
			b.mu.Unlock()
		})
		b.mu.Lock()
		o, answered := b.all[id], b.all != nil
		delete(b.all, id)
		b.mu.Unlock()
		if o != nil || !answered {
			return o
		}
	}
	return g.ask(ctx, []string{id}, texts)[id]
}

// batch returns the one of these ids; nil if it is none. Of those that were asked for, the oldest are forgotten.
func (g *graph) batch(ids string) *batch {
	all := strings.Fields(ids)
	if len(all) < 2 || len(all) > batchSize {
		return nil
	}
	for _, id := range all {
		if !nodeID().MatchString(id) {
			return nil
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range g.batches {
		if b.ids == ids {
			return b
		}
	}
	b := &batch{ids: ids}
	if g.batches = append(g.batches, b); len(g.batches) > keptBatches {
		g.batches = g.batches[1:]
	}
	return b
}

// ask asks about repositories by id. What GraphQL stumbles over is asked for in halves; about a single repository REST is asked then.
func (g *graph) ask(ctx context.Context, ids []string, texts bool) map[string]*overview {
	var out struct {
		Nodes []json.RawMessage `json:"nodes"`
	}
	failures, err := g.query(ctx, overviewQuery+rolesFragment, map[string]any{"ids": ids, "texts": texts}, &out)
	switch e := (*forge.Error)(nil); {
	case err == nil && len(out.Nodes) == len(ids):
	case ctx.Err() != nil:
		return nil
	case errors.As(err, &e) && (!e.Until.IsZero() || e.Status == http.StatusUnauthorized):
		return nil // now, or to this credential
	case errors.As(err, &e) && (e.Status == http.StatusForbidden || e.Status == http.StatusNotFound), errors.As(err, new(refusedError)):
		if !g.refused.Swap(true) {
			g.env.Log.Info("GraphQL is refused: repositories are asked about one by one", "api", "github", "error", err)
		}
		return nil
	case len(ids) > 1:
		all := g.ask(ctx, ids[:len(ids)/2], texts)
		if all == nil {
			all = map[string]*overview{}
		}
		if g.refused.Load() {
			return all
		}
		for id, o := range g.ask(ctx, ids[len(ids)/2:], texts) {
			all[id] = o
		}
		return all
	default:
		g.env.Log.Debug("GraphQL has no answer about a repository", "api", "github", "id", ids[0], "error", err)
		if g.failed.Add(1) == batchSize { // it fails whatever it is asked, which in halves takes two queries for each repository
			g.refused.Store(true)
			g.env.Log.Info("GraphQL fails: repositories are asked about one by one", "api", "github", "error", err)
		}
		return nil
	}
	g.failed.Store(0)
	all := map[string]*overview{}
	for i, id := range ids {
		if o := readOverview(out.Nodes[i], failures[i]); o != nil {
			all[id] = o
		}
	}
	return all
}

// refusedError says that the instance's GraphQL has not all that a query asks for, or not for this credential.
type refusedError struct{ error }

// query sends one, and reads the answer into out. failures are the fields of the answer's nodes that are missing from it, by the node's number.
// A query reads, although it is sent by POST.
func (g *graph) query(ctx context.Context, query string, variables map[string]any, out any) (failures map[int]map[string]bool, err error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := g.api.Do(req)
	if err != nil {
		return nil, forge.Plain(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Data   json.RawMessage `json:"data"`
		Errors []struct {
			Type       string `json:"type"`
			Message    string `json:"message"`
			Path       []any  `json:"path"`
			Extensions struct {
				Code string `json:"code"`
			} `json:"extensions"`
		} `json:"errors"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	failures = map[int]map[string]bool{}
	for _, e := range answer.Errors {
		at, ok := -1.0, false
		if len(e.Path) > 1 {
			at, ok = e.Path[1].(float64)
		}
		if !ok {
			err := fmt.Errorf("GraphQL: %.200q", e.Message)
			if e.Extensions.Code != "" || e.Type == "FORBIDDEN" || e.Type == "INSUFFICIENT_SCOPES" { // the schema has no such field, or nobody may ask
				err = refusedError{err}
			}
			return nil, err
		}
		if failures[int(at)] == nil {
			failures[int(at)] = map[string]bool{}
		}
		field := ""
		if len(e.Path) > 2 {
			field, _ = e.Path[2].(string)
		}
		failures[int(at)][field] = true
	}
	if answer.Data == nil {
		return nil, errors.New("GraphQL: no data")
	}
	return failures, json.Unmarshal(answer.Data, out)
}

// overviewQuery asks for what an overview has. By its rules of reckoning GitHub counts 11 points for 25 repositories, of 5,000 an hour: 45 listings of each,
// and a hundredth of a point for a listing.
//
//go:embed overview.graphql
var overviewQuery string

// organisations are those of an enterprise, by login.
func (c *client) organisations(ctx context.Context, slug string) (logins []string, err error) {
	const query = `query ($slug: String!, $after: String) {
  enterprise(slug: $slug) { organizations(first: 100, after: $after) { pageInfo { hasNextPage endCursor } nodes { login } } }
}`
	if !c.signed() {
		return nil, errors.New("organisations of an enterprise need a token")
	}
	ctx = c.as(ctx, slug)
	for login, err := range forge.Pages(ctx, func(login string) string { return login }, func(ctx context.Context, cursor string) (page forge.Page[string], err error) {
		var out struct {
			Enterprise *struct {
				Organizations connection[struct {
					Login string `json:"login"`
				}] `json:"organizations"`
			} `json:"enterprise"`
		}
		variables := map[string]any{"slug": slug, "after": nil}
		if cursor != "" {
			variables["after"] = cursor
		}
		if _, err := c.graph.query(ctx, query, variables, &out); err != nil {
			return page, err
		}
		if out.Enterprise == nil {
			return page, errors.New("there is none of that name that can be seen")
		}
		all := out.Enterprise.Organizations
		for _, o := range all.Nodes {
			if ownerName().MatchString(o.Login) {
				page.Items = append(page.Items, o.Login)
			}
		}
		if all.PageInfo.HasNextPage {
			page.Next = all.PageInfo.EndCursor
		}
		return page, nil
	}) {
		if err != nil {
			return logins, err
		}
		logins = append(logins, login)
	}
	return logins, nil
}

// repositoriesOf is how many repositories that are not archived an organisation has, as the credential sees it; "" if that cannot be told. REST has no
// number of them, but a listing.
func (c *client) repositoriesOf(ctx context.Context, login string) string {
	if n := c.repositoriesByGraphQL(ctx, login); n != "" {
		return n
	}
	n := 0
	for r, err := range c.orgRepositories(ctx, login, 0) {
		if err != nil {
			return ""
		}
		if !r.GetArchived() {
			n++
		}
	}
	return strconv.Itoa(n)
}

func (c *client) repositoriesByGraphQL(ctx context.Context, login string) string {
	if c.graph.refused.Load() {
		return ""
	}
	const query = `query ($login: String!) { organization(login: $login) { repositories(isArchived: false) { totalCount } } }`
	var out struct {
		Organization struct {
			Repositories *count `json:"repositories"`
		} `json:"organization"`
	}
	if _, err := c.graph.query(c.as(ctx, login), query, map[string]any{"login": login}, &out); err != nil || out.Organization.Repositories == nil {
		return ""
	}
	return strconv.Itoa(out.Organization.Repositories.TotalCount)
}

// graphTree is a folder of the default branch.
type graphTree struct {
	Entries []struct {
		Name   string     `json:"name"`
		Type   string     `json:"type"`
		Mode   int        `json:"mode"`
		Object *graphBlob `json:"object"`
	} `json:"entries"`
}

const graphSymlink = 0o120000 // as symlink

type graphBlob struct {
	ByteSize    int64   `json:"byteSize"`
	IsTruncated bool    `json:"isTruncated"`
	Text        *string `json:"text"`
}

type count struct {
	TotalCount int `json:"totalCount"`
}

// readOverview reads what the query says of one repository. failed are the fields that are missing.
func readOverview(said json.RawMessage, failed map[string]bool) *overview {
	var r struct {
		ID               string                    `json:"id"`
		Name             string                    `json:"nameWithOwner"`
		Admin            bool                      `json:"viewerCanAdminister"`
		Workflows        *graphTree                `json:"workflows"`
		ActionYML        *graphBlob                `json:"actionYML"`
		ActionYAML       *graphBlob                `json:"actionYAML"`
		Dependabot       *struct{}                 `json:"dependabotYML"`
		Dependabot2      *struct{}                 `json:"dependabotYAML"`
		Devcontainer     *struct{}                 `json:"devcontainer"`
		DevcontainerJSON *struct{}                 `json:"devcontainerJSON"`
		Environments     *count                    `json:"environments"`
		Keys             *count                    `json:"deployKeys"`
		Branches         *connection[graphRule]    `json:"branchProtectionRules"`
		Rulesets         *connection[graphRuleset] `json:"rulesets"`
	}
	if json.Unmarshal(said, &r) != nil || r.ID == "" || failed[""] {
		return nil
	}
	for _, field := range []string{"workflows", "actionYML", "actionYAML", "dependabotYML", "dependabotYAML", "devcontainer", "devcontainerJSON"} {
		if failed[field] {
			return nil // no right to the contents
		}
	}
	people, rest := readPeople(said, failed["collaborators"])
	sum := sha256.Sum256(rest)
	o := &overview{
		environments: -1, keys: -1, people: people, digest: hex.EncodeToString(sum[:16]),
		dependabot: r.Dependabot != nil || r.Dependabot2 != nil, codespaces: r.Devcontainer != nil || r.DevcontainerJSON != nil,
	}
	if r.Workflows != nil {
		for _, e := range r.Workflows.Entries {
			switch name := workflowFolder + "/" + e.Name; {
			case e.Type != "blob" || e.Mode == graphSymlink || e.Object == nil:
			case name == pipeline.LockPath:
				f := e.Object.file(name)
				o.lock = &f
			case isDefinition(e.Name) && !o.full():
				o.files = append(o.files, e.Object.file(name))
			}
		}
	}
	if r.ActionYML != nil {
		o.files = append(o.files, r.ActionYML.file("action.yml"))
	}
	if r.ActionYAML != nil {
		o.files = append(o.files, r.ActionYAML.file("action.yaml"))
	}
	if r.Environments != nil && !failed["environments"] {
		o.environments = r.Environments.TotalCount
	}
	// Who does not administer the repository is told that there are none.
	if r.Keys != nil && !failed["deployKeys"] && (r.Admin || r.Keys.TotalCount > 0) {
		o.keys = r.Keys.TotalCount
	}
	if r.Branches.whole() && r.Rulesets.whole() && !failed["branchProtectionRules"] && !failed["rulesets"] && (r.Admin || len(r.Branches.Nodes) > 0) {
		o.protections, o.isProtected = protectionsOf(r.Rulesets.Nodes, r.Branches.Nodes, r.Name)
	}
	return o
}

// file is the blob as a definition.
func (b *graphBlob) file(name string) file {
	f := file{path: name}
	switch {
	case b.ByteSize > largestDefinition || b.IsTruncated:
		f.missing = tooLarge(b.ByteSize)
	case b.Text == nil:
		f.missing = notText
	default:
		f.text = *b.Text
	}
	return f
}
