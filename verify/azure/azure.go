// Package azure judges found client secrets of applications in Microsoft Entra ID: whether one works, whose it is, and what the application may do in
// Azure subscriptions and in the directory.
//
// A secret tells neither its application nor its tenant: it takes both beside it. Live, Entra ID is asked for tokens in exchange for it, see
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow, and Azure Resource Manager, with such a token, for the roles
// that the application has. That is Microsoft's public cloud; the clouds of governments and of China are not asked.
package azure

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/verify/internal/ask"
)

const (
	login   = "https://login.microsoftonline.com"
	manager = "https://management.azure.com"
	graph   = "https://graph.microsoft.com"
	// maxSubscriptions are asked for the application's roles, and maxRoles are looked up in all.
	maxSubscriptions = 5
	maxRoles         = 20
)

// Verifier judges client secrets. It is safe for concurrent use.
type Verifier struct {
	env  audit.Env
	live bool
}

// New makes a verifier, which asks Microsoft if it is live.
func New(env audit.Env, live bool) *Verifier { return &Verifier{env: env, live: live} }

// Kinds implements [audit.Verifier].
func (v *Verifier) Kinds() []string { return []string{audit.KindAzureSecret} }

const guid = `[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`

var (
	isGUID   = lazyregexp.New(`^` + guid + `$`)
	isTenant = lazyregexp.New(`^(?:` + guid + `|[a-z0-9-]{1,63}\.onmicrosoft\.com)$`)
	isRole   = lazyregexp.New(`(?i)^/(?:subscriptions/` + guid + `/)?providers/Microsoft\.Authorization/roleDefinitions/` + guid + `$`)
)

// Verify implements [audit.Verifier].
func (v *Verifier) Verify(ctx context.Context, s *audit.Secret) (audit.Verdict, error) {
	verdict := ask.Offline(v.env)
	app := application{id: s.ID, tenant: s.RevealPart(audit.PartTenant), secret: s.Reveal()}
	hasID, hasTenant := isGUID().MatchString(app.id), isTenant().MatchString(app.tenant)
	if hasID {
		verdict.Facts["application"] = app.id
	}
	if hasTenant {
		verdict.Facts["tenant"] = app.tenant
	}
	switch {
	case !hasID || !hasTenant:
		verdict.Facts["reason"] = "not asked: the application's id and its tenant do not both stand beside it"
		return verdict, nil
	case !v.live:
		return verdict, nil
	case !ask.Sendable(app.secret):
		verdict.Facts["reason"] = "not asked: what was found cannot be sent as a secret"
		return verdict, nil
	}
	var err error
	if app.entra, err = ask.NewIssuer(v.env, "entra", login); err != nil {
		return audit.Verdict{}, err
	}
	if app.manager, err = ask.NewIssuer(v.env, "azure", manager); err != nil {
		return audit.Verdict{}, err
	}
	return app.entra.With(ctx, verdict, http.Header{}, app.ask)
}

// An application is who a secret is said to belong to, and who is asked about it.
type application struct {
	id, tenant, secret string
	entra, manager     *ask.Issuer
}

func (app application) ask(ctx context.Context, q *ask.Inquiry) error {
	token, a, err := app.token(ctx, q, graph) // every tenant has it
	if err != nil {
		return err
	}
	if token == "" {
		app.refused(q, a)
		return nil
	}
	q.Active()
	c, ok := read(token)
	if !ok {
		q.Limit("what it may do in the directory is not told: the token for Microsoft Graph cannot be read")
	}
	q.Fact("name", c.Name)
	q.Limit("permissions of other services than Azure Resource Manager and Microsoft Graph, such as Key Vault's own, were not asked")
	app.directory(q, c)
	token, a, err = app.token(ctx, q, manager)
	if err != nil {
		return err
	}
	if token == "" {
		q.Limit("Entra ID gives no token for Azure Resource Manager (%d): roles in subscriptions are not known", a.Status)
		return nil
	}
	q.Issuer, q.Header = app.manager, http.Header{"Authorization": {"Bearer " + token}}
	return app.subscriptions(ctx, q, c.Object)
}

// token asks for a token for a service; it is "" where there is none.
func (app application) token(ctx context.Context, q *ask.Inquiry, service string) (string, *ask.Answer, error) {
	var answer struct {
		Token string `json:"access_token"`
	}
	a, err := q.Post(ctx, "/"+app.tenant+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {app.id}, "client_secret": {app.secret}, "scope": {service + "/.default"},
	}, &answer)
	if err != nil || !ask.Sendable(answer.Token) {
		return "", a, err
	}
	return answer.Token, a, nil
}

// refused says what a refusal tells of the secret, by the codes of https://learn.microsoft.com/entra/identity-platform/reference-error-codes
func (app application) refused(q *ask.Inquiry, a *ask.Answer) {
	var answer struct {
		Codes []int `json:"error_codes"`
	}
	if a.Status != http.StatusBadRequest && a.Status != http.StatusUnauthorized || a.Decode(&answer) != nil {
		q.Unexpected(a)
		return
	}
	has := func(codes ...int) bool {
		return slices.ContainsFunc(codes, func(code int) bool { return slices.Contains(answer.Codes, code) })
	}
	switch {
	case has(7000222):
		q.Inactive("Entra ID says that it has expired")
	case has(7000112):
		q.Inactive("Entra ID says that its application is disabled")
	case has(7000215):
		q.Inactive("Entra ID does not know it as a secret of the application that stands beside it: deleted, or another one's")
	case has(700016, 90002, 900023):
		q.Unknown("Entra ID does not know the application or the tenant that stands beside it: deleted, of another cloud, or not what it belongs to")
	case has(53003):
		q.Active()
		q.Limit("a policy of conditional access keeps it from being used from here")
	default:
		q.Unknown(fmt.Sprintf("Entra ID refuses for a reason that says nothing of it: %v", answer.Codes))
	}
}

// claims are what a token says of the application that it is for.
type claims struct {
	Name   string   `json:"app_displayname"`
	Object string   `json:"oid"`
	Roles  []string // permissions of the service that the token is for
	Wids   []string // directory roles, by the ids of their templates
}

// read reads a token's claims, which are Microsoft's: they came from it directly.
func read(token string) (c claims, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}, false
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	return c, err == nil && json.Unmarshal(b, &c) == nil
}

// A grant is something that leads to a level.
type grant struct {
	level audit.Level
	name  string
}

// memberOfAll is a directory role that every token has.
const memberOfAll = "0997a1d0-0d1d-4acb-b408-d5ca73121e90"

// directoryRoles are those that lead to all others, see https://learn.microsoft.com/entra/identity/role-based-access-control/permissions-reference
var directoryRoles = map[string]grant{
	"62e90394-69f5-4237-9190-012177145e10": {audit.LevelAdmin, "Global Administrator"},
	"e8611ab8-c189-46e8-94e1-60213ab1f814": {audit.LevelAdmin, "Privileged Role Administrator"},
	"7be44c8a-adaf-4e2a-84d6-ab2649e08a13": {audit.LevelEscalation, "Privileged Authentication Administrator"},
	"9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3": {audit.LevelEscalation, "Application Administrator"},
	"158c047a-c907-4556-b7ef-446551a6b5f7": {audit.LevelEscalation, "Cloud Application Administrator"},
}

// directory says what an application may do in its tenant.
func (app application) directory(q *ask.Inquiry, c claims) {
	to := "tenant " + app.tenant
	for _, id := range c.Wids {
		switch role, ok := directoryRoles[strings.ToLower(id)]; {
		case ok:
			q.Raise(role.level, app.id, to, "directory role "+role.name)
		case !strings.EqualFold(id, memberOfAll):
			q.Limit("what directory role %s allows was not asked", id)
		}
	}
	slices.Sort(c.Roles)
	for _, role := range slices.Compact(c.Roles) {
		q.Raise(permission(role), app.id, to, "permission "+role+" of Microsoft Graph")
	}
	q.Fact("graph_permissions", strings.Join(c.Roles, ", "))
}

// permission is the level of a permission of Microsoft Graph, see https://learn.microsoft.com/graph/permissions-reference. With the first three an
// application gives itself any other.
func permission(name string) audit.Level {
	switch name {
	case "RoleManagement.ReadWrite.Directory", "AppRoleAssignment.ReadWrite.All", "Application.ReadWrite.All":
		return audit.LevelEscalation
	}
	for part := range strings.SplitSeq(name, ".") {
		if strings.HasPrefix(part, "Read") && !strings.HasPrefix(part, "ReadWrite") {
			return audit.LevelRead
		}
	}
	return audit.LevelWrite // ReadWrite, Send, Manage, FullControl and what is yet to come
}

// subscriptions asks which subscriptions there are for the application, and which roles it has in them. See
// https://learn.microsoft.com/rest/api/resources/subscriptions/list
func (app application) subscriptions(ctx context.Context, q *ask.Inquiry, object string) error {
	var page struct {
		Value []struct {
			ID string `json:"subscriptionId"`
		}
		Next string `json:"nextLink"`
	}
	a, err := q.Get(ctx, "/subscriptions?api-version=2022-12-01", &page)
	if err != nil {
		return err
	}
	if !a.OK() {
		q.Limit("subscriptions may not be listed with it (%d)", a.Status)
		return nil
	}
	text := fmt.Sprint(len(page.Value))
	if page.Next != "" {
		text = "at least " + text
	}
	q.Fact("subscriptions", text)
	if len(page.Value) > maxSubscriptions || page.Next != "" {
		q.Limit("of its subscriptions, only the first %d were asked for its roles", maxSubscriptions)
	}
	roles := map[string]*grant{} // by their ids; nil for what cannot be read
	for _, s := range page.Value[:min(len(page.Value), maxSubscriptions)] {
		if id := strings.ToLower(s.ID); isGUID().MatchString(id) {
			q.Raise(audit.LevelRead, app.id, "subscription "+id, "it is listed")
			if err := app.roles(ctx, q, id, object, roles); err != nil {
				return err
			}
		}
	}
	return nil
}

// roles asks which roles an application has in a subscription, above it and below it. See
// https://learn.microsoft.com/rest/api/authorization/role-assignments/list-for-subscription
func (app application) roles(ctx context.Context, q *ask.Inquiry, subscription, object string, known map[string]*grant) error {
	if !isGUID().MatchString(object) {
		q.Limit("its roles in subscription %s cannot be asked for: its object id is not known", subscription)
		return nil
	}
	var page struct {
		Value []struct {
			Properties struct{ RoleDefinitionID, Scope, Condition string }
		}
		Next string `json:"nextLink"`
	}
	filter := url.QueryEscape("assignedTo('" + object + "')")
	a, err := q.Get(ctx, "/subscriptions/"+subscription+"/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter="+filter, &page)
	if err != nil {
		return err
	}
	if !a.OK() || page.Next != "" {
		q.Limit("not all of its roles in subscription %s may be listed with it (%d)", subscription, a.Status)
	}
	for _, assigned := range page.Value {
		p := assigned.Properties
		id := strings.ToLower(p.RoleDefinitionID[strings.LastIndexByte(p.RoleDefinitionID, '/')+1:])
		role, asked := known[id]
		if !asked && len(known) < maxRoles && isRole().MatchString(p.RoleDefinitionID) {
			if role, err = definition(ctx, q, p.RoleDefinitionID); err != nil {
				return err
			}
			known[id] = role
		}
		if role == nil {
			q.Limit("what role %s at %s allows was not told", id, p.Scope)
			continue
		}
		if p.Condition != "" {
			q.Limit("a condition narrows role %s at %s", role.name, p.Scope)
		}
		q.Raise(role.level, app.id, p.Scope, "role "+role.name)
	}
	return nil
}

// definition asks what a role allows; nil where that is not told. See https://learn.microsoft.com/rest/api/authorization/role-definitions/get-by-id
func definition(ctx context.Context, q *ask.Inquiry, id string) (*grant, error) {
	var role struct {
		Properties struct {
			RoleName    string
			Permissions []block
		}
	}
	a, err := q.Get(ctx, id+"?api-version=2022-04-01", &role)
	if err != nil || !a.OK() {
		return nil, err
	}
	return &grant{levelOf(role.Properties.Permissions), role.Properties.RoleName}, nil
}

// A block is a part of what a role allows, see https://learn.microsoft.com/azure/role-based-access-control/role-definitions
type block struct{ Actions, NotActions, DataActions []string }

// levelOf is what a role allows at most: who hands out roles can take any, and who may do all else too has them already.
func levelOf(blocks []block) audit.Level {
	allowed := func(action string) bool {
		matches := func(pattern string) bool { return match(pattern, action) }
		return slices.ContainsFunc(blocks, func(b block) bool {
			return slices.ContainsFunc(b.Actions, matches) && !slices.ContainsFunc(b.NotActions, matches)
		})
	}
	level := audit.LevelNone
	for _, b := range blocks {
		for _, action := range slices.Concat(b.Actions, b.DataActions) {
			if !strings.HasSuffix(strings.ToLower(action), "/read") {
				level = audit.LevelWrite
			} else if level == audit.LevelNone {
				level = audit.LevelRead
			}
		}
	}
	if allowed("Microsoft.Authorization/roleAssignments/write") {
		if level = audit.LevelEscalation; allowed("Microsoft.Compute/virtualMachines/write") {
			level = audit.LevelAdmin
		}
	}
	return level
}

// match tells whether an action is one that a pattern names, in which "*" stands for any text.
func match(pattern, action string) bool {
	parts := strings.Split(strings.ToLower(pattern), "*")
	rest, ok := strings.CutPrefix(strings.ToLower(action), parts[0])
	if !ok || len(parts) == 1 {
		return ok && rest == ""
	}
	for _, part := range parts[1 : len(parts)-1] {
		if _, rest, ok = strings.Cut(rest, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}
