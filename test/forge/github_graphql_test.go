package forge

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/leakreach/leakreach/providers/forgetest"
)

// schema is GitHub's, of its GraphQL API.
func schema(t *testing.T) *ast.Schema {
	t.Helper()
	text, err := os.ReadFile(graphQLSchema.file(t, "package/schema.graphql"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := parser.ParseSchemas(validator.Prelude, &ast.Source{Name: "schema.graphql", Input: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	for _, def := range doc.Definitions { // GitHub publishes some fields twice
		seen := map[string]bool{}
		def.Fields = slices.DeleteFunc(def.Fields, func(f *ast.FieldDefinition) bool {
			twice := seen[f.Name]
			seen[f.Name] = true
			return twice
		})
	}
	all, err := validator.ValidateSchemaDocument(doc)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// checkGraph holds a query and its answer against the schema.
func (c *checker) checkGraph(r *http.Request, rec *httptest.ResponseRecorder) {
	if c.graph == nil {
		c.t.Errorf("%s %s: GraphQL is not expected here", r.Method, r.URL)
		return
	}
	var asked struct {
		Query     string
		Variables map[string]any
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		c.t.Errorf("query: %v", err)
	}
	c.mu.Lock()
	c.seen["graphql"]++
	c.mu.Unlock()
	if rec.Code != http.StatusOK {
		return
	}
	query, problems := gqlparser.LoadQueryWithRules(c.graph, asked.Query, rules.NewDefaultRules())
	if len(problems) > 0 {
		c.t.Errorf("query: %v\n%s", problems, asked.Query)
		return
	}
	var told struct {
		Data   map[string]any
		Errors []struct{ Message string }
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &told); err != nil || told.Data == nil {
		c.t.Errorf("answer: %v, %v", err, told.Errors)
		return
	}
	for _, problem := range c.conforms(told.Data, query.Operations[0].SelectionSet, c.graph.Query.Name, asked.Variables, len(told.Errors) > 0) {
		c.t.Errorf("answer: %s", problem)
	}
}

// conforms tells where an object is not what a selection of a type's fields makes. What has failed is null, whatever the schema says.
func (c *checker) conforms(o map[string]any, all ast.SelectionSet, kind string, variables map[string]any, failed bool) (problems []string) {
	for _, s := range all {
		switch s := s.(type) {
		case *ast.FragmentSpread:
			problems = append(problems, c.conforms(o, s.Definition.SelectionSet, s.Definition.TypeCondition, variables, failed)...)
		case *ast.InlineFragment:
			problems = append(problems, c.conforms(o, s.SelectionSet, s.TypeCondition, variables, failed)...)
		case *ast.Field:
			v, ok := o[s.Alias]
			switch {
			case ok:
				for _, p := range c.fits(v, s.Definition.Type, s.SelectionSet, variables, failed) {
					problems = append(problems, kind+"."+s.Name+": "+p)
				}
			case !c.graph.Types[kind].IsAbstractType() && len(s.Directives) == 0 && o["__typename"] == kind:
				problems = append(problems, kind+"."+s.Name+" is missing")
			}
		}
	}
	return problems
}

func (c *checker) fits(v any, t *ast.Type, all ast.SelectionSet, variables map[string]any, failed bool) []string {
	if v == nil {
		if t.NonNull && !failed {
			return []string{"null"}
		}
		return nil
	}
	if t.Elem != nil {
		list, ok := v.([]any)
		if !ok {
			return []string{fmt.Sprintf("%T is no list", v)}
		}
		var problems []string
		for _, e := range list {
			problems = append(problems, c.fits(e, t.Elem, all, variables, failed)...)
		}
		return problems
	}
	var ok bool
	switch def := c.graph.Types[t.NamedType]; {
	case def.IsCompositeType():
		o, is := v.(map[string]any)
		if is {
			return c.conforms(o, all, t.NamedType, variables, failed)
		}
		ok = false
	case def.Kind == ast.Enum:
		ok = slices.ContainsFunc(def.EnumValues, func(e *ast.EnumValueDefinition) bool { return e.Name == v })
	case t.NamedType == "Boolean":
		_, ok = v.(bool)
	case t.NamedType == "Int", t.NamedType == "BigInt", t.NamedType == "Float":
		_, ok = v.(float64)
	default:
		_, ok = v.(string)
	}
	if !ok {
		return []string{fmt.Sprintf("%v is no %s", v, t.NamedType)}
	}
	return nil
}

// The fake answers what GitHub's schema has, whatever is asked of it.
func TestGraphQLContract(t *testing.T) {
	c := &checker{t: t, graph: schema(t), fake: everyKind(t), seen: map[string]int{}}
	url := forgetest.Start(t, c)
	ask := func(query string, variables map[string]any) map[string]any {
		body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
		if err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/graphql", strings.NewReader(string(body)))
		req.Header.Set("Authorization", "Bearer "+endpointToken)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		var out struct{ Data map[string]any }
		if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
			t.Fatal(err)
		}
		return out.Data
	}
	got := ask(everyField, map[string]any{"ids": []string{"R_1", "R_2", "R_99"}, "owner": "acme", "name": "app", "slug": "megacorp"})
	nodes, _ := got["nodes"].([]any)
	if len(nodes) != 3 || nodes[2] != nil {
		t.Fatalf("nodes %v", nodes)
	}
	app, _ := nodes[0].(map[string]any)
	workflows, _ := app["workflows"].(map[string]any)
	if entries, _ := workflows["entries"].([]any); len(entries) != 1 || !strings.Contains(fmt.Sprint(entries[0]), "on: push") {
		t.Errorf("workflows %v", workflows)
	}
	if s := fmt.Sprint(app["collaborators"]); !strings.Contains(s, "login:jane") || !strings.Contains(s, "permission:ADMIN") || !strings.Contains(s, "slug:ops") {
		t.Errorf("collaborators %s", s)
	}
	if s := fmt.Sprint(app["branchProtectionRules"], app["rulesets"]); !strings.Contains(s, "login:jane") || !strings.Contains(s, "requiredApprovingReviewCount:2") {
		t.Errorf("rules %s", s)
	}
}

const everyField = `query ($ids: [ID!]!, $owner: String!, $name: String!, $slug: String!) {
  enterprise(slug: $slug) { slug organizations(first: 1, after: "0") { pageInfo { hasNextPage endCursor } nodes { login } } }
  viewer { login }
  rateLimit { cost limit remaining resetAt nodeCount used }
  organization(login: $owner) { login repositories(first: 1, isArchived: false) { totalCount pageInfo { hasNextPage endCursor } nodes { nameWithOwner } } }
  repository(owner: $owner, name: $name) { id databaseId isPrivate isArchived isFork isEmpty visibility pushedAt diskUsage owner { login } }
  nodes(ids: $ids) {
    __typename
    ... on Repository {
      id nameWithOwner name viewerCanAdminister
      workflows: object(expression: "HEAD:.github/workflows") { ... on Tree { __typename oid entries { name type mode oid path object { ... on Blob { byteSize isTruncated isBinary text } } } } }
      readme: object(expression: "HEAD:README") { __typename oid ... on Blob { text } }
      nothing: object(expression: "HEAD:nothing") { oid }
      collaborators(first: 100) { totalCount pageInfo { hasNextPage endCursor } edges { permission node { login } permissionSources { source { __typename ... on Organization { login } ... on Team { slug } } } } }
      environments(first: 100) { totalCount nodes { name databaseId } }
      deployKeys(first: 100) { totalCount nodes { title readOnly } }
      branchProtectionRules(first: 10) {
        totalCount
        nodes {
          pattern isAdminEnforced allowsDeletions allowsForcePushes blocksCreations lockBranch restrictsPushes requiresApprovingReviews requiredApprovingReviewCount
          requiresCommitSignatures requiresConversationResolution requiresLinearHistory requiresStatusChecks
          pushAllowances(first: 100) { nodes { actor { __typename ... on App { slug } ... on User { login } } } }
          bypassPullRequestAllowances(first: 100) { totalCount nodes { actor { __typename } } }
        }
      }
      rulesets(first: 10, includeParents: true) {
        nodes {
          databaseId name target enforcement source { __typename ... on Organization { login } ... on Repository { nameWithOwner } }
          conditions { refName { include exclude } }
          rules(first: 100) { nodes { type parameters { ... on PullRequestParameters { requiredApprovingReviewCount } } } }
          bypassActors(first: 100) { nodes { bypassMode deployKey enterpriseOwner organizationAdmin repositoryRoleDatabaseId actor { __typename } } }
        }
      }
    }
  }
}`
