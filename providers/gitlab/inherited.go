package gitlab

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"

	"github.com/xanzy/go-gitlab"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// inherited lists the variables that groups above a project hand down to it, by name. Where all those groups are read themselves there is nothing
// to add: their variables are listed with their values. Else GraphQL is asked, which shows names and flags to whom the group does not.
func (h *place) inherited(ctx context.Context) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		if h.target.Attrs["owner"] == "user" || h.target.Attrs["shared"] == "" && h.groupsShow(ctx) {
			return
		}
		key := func(v *inheritedVariable) string { return v.Settings + "\x00" + v.Key + "\x00" + v.Scope }
		for v, err := range forge.Pages(ctx, key, h.inheritedPage) {
			var it audit.Item
			if err == nil {
				it = h.item(audit.KindVariable, audit.InVariable, v.Key, h.page+"#js-cicd-variables-settings", map[string]string{
					"store": "variable", "protected": yesNo(v.Protected), "masked": yesNo(v.Masked), "hidden": yesNo(v.Hidden), "raw": yesNo(v.Raw),
					"type": strings.ToLower(v.Type), "environment_scope": v.Scope, "inherited_from": v.group(),
				})
				it.Entry.Scope = "group " + v.group()
			}
			if !yield(it, err) {
				return
			}
		}
	}
}

// groupsShow tells whether the token may read the variables of each group above. What it learns of a group holds for all below.
func (h *place) groupsShow(ctx context.Context) bool {
	parts := strings.Split(h.target.Attrs["path"], "/")
	for n := 1; n < len(parts); n++ {
		if !h.shows(ctx, strings.Join(parts[:n], "/")) {
			return false
		}
	}
	return true
}

func (c *client) shows(ctx context.Context, path string) bool {
	shown, known := c.shown.Load(path)
	if !known {
		_, err := c.get(ctx, "groups/"+gitlab.PathEscape(path)+"/variables", map[string]string{"per_page": "1"}, "", new([]struct{}))
		if status := forge.StatusOf(err); err != nil && status != http.StatusForbidden && status != http.StatusNotFound && status != http.StatusUnauthorized {
			return false // it may next time
		}
		shown, _ = c.shown.LoadOrStore(path, err == nil)
	}
	return shown.(bool)
}

type inheritedVariable struct {
	Key       string `json:"key"`
	GroupName string `json:"groupName"`
	Settings  string `json:"groupCiCdSettingsPath"` // /groups/acme/platform/-/settings/ci_cd
	Scope     string `json:"environmentScope"`
	Type      string `json:"variableType"`
	Protected *bool  `json:"protected"`
	Masked    *bool  `json:"masked"`
	Hidden    *bool  `json:"hidden"`
	Raw       *bool  `json:"raw"`
}

// group is the path of the group that hands the variable down, or its name.
func (v *inheritedVariable) group() string {
	_, path, _ := strings.Cut(v.Settings, "/groups/")
	path, _, found := strings.Cut(path, "/-/")
	if !found || !validPath(path) {
		return v.GroupName
	}
	return path
}

// inheritedQuery has no values: GitLab does not hand them down to who reads the project. Instances before 17.4 do not know hidden variables.
const inheritedQuery = `query($path: ID!, $after: String) { project(fullPath: $path) { inheritedCiVariables(first: 100, after: $after) {
  nodes { key groupName groupCiCdSettingsPath environmentScope variableType protected masked FIELDS raw }
  pageInfo { hasNextPage endCursor } } } }`

func (h *place) inheritedPage(ctx context.Context, cursor string) (page forge.Page[*inheritedVariable], err error) {
	var answer struct {
		Project *struct {
			Variables *struct {
				Nodes []*inheritedVariable `json:"nodes"`
				Info  struct {
					More bool   `json:"hasNextPage"`
					End  string `json:"endCursor"`
				} `json:"pageInfo"`
			} `json:"inheritedCiVariables"`
		} `json:"project"`
	}
	variables := map[string]any{"path": h.target.Attrs["path"]}
	if cursor != "" {
		variables["after"] = cursor
	}
	err = h.query(ctx, strings.Replace(inheritedQuery, "FIELDS", "hidden", 1), variables, &answer)
	if refused := (*queryError)(nil); errors.As(err, &refused) && strings.Contains(refused.message, "'hidden'") {
		err = h.query(ctx, strings.Replace(inheritedQuery, "FIELDS", "", 1), variables, &answer)
	}
	if err != nil {
		return page, err
	}
	if answer.Project == nil || answer.Project.Variables == nil {
		return page, &forge.Error{API: "gitlab", Method: http.MethodPost, Status: http.StatusForbidden} // it answers null for what a role does not show
	}
	for _, v := range answer.Project.Variables.Nodes {
		if v != nil {
			page.Items = append(page.Items, v)
		}
	}
	if answer.Project.Variables.Info.More {
		page.Next = answer.Project.Variables.Info.End
	}
	return page, nil
}

// A queryError is what GraphQL says is wrong with a query.
type queryError struct{ message string }

func (e *queryError) Error() string { return "GraphQL: " + short(e.message) }

// query asks GraphQL, which is beside the API's version 4.
func (c *client) query(ctx context.Context, query string, variables map[string]any, out any) error {
	req, err := c.NewRequest(http.MethodPost, "graphql", struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables"`
	}{query, variables}, []gitlab.RequestOptionFunc{gitlab.WithContext(ctx)})
	if err != nil {
		return err
	}
	req.URL = c.BaseURL().JoinPath("../graphql")
	answer := struct {
		Data   any `json:"data"`
		Errors []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}{Data: out}
	if _, err := c.Do(req, &answer); err != nil {
		return forge.Plain(err)
	}
	if len(answer.Errors) > 0 {
		return &queryError{answer.Errors[0].Message}
	}
	return nil
}
