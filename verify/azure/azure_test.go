package azure_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/azure"
	"github.com/leakreach/leakreach/verify/internal/asktest"
)

const (
	client       = "11111111-2222-3333-4444-555555555555"
	tenant       = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	object       = "99999999-8888-7777-6666-555555555555"
	subscription = "12345678-1234-1234-1234-123456789abc"
	owner        = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635" // the ids of Azure's own roles
	contributor  = "b24988ac-6180-42a0-ab88-20f7382dd24c"
	accessAdmin  = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
	reader       = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
)

// definitions are what Azure's own roles allow, see https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
var definitions = map[string]string{
	owner:       `{"properties": {"roleName": "Owner", "type": "BuiltInRole", "permissions": [{"actions": ["*"], "notActions": [], "dataActions": [], "notDataActions": []}]}}`,
	contributor: `{"properties": {"roleName": "Contributor", "permissions": [{"actions": ["*"], "notActions": ["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write", "Microsoft.Authorization/elevateAccess/Action", "Microsoft.Blueprint/blueprintAssignments/write"]}]}}`,
	accessAdmin: `{"properties": {"roleName": "User Access Administrator", "permissions": [{"actions": ["*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"]}]}}`,
	reader:      `{"properties": {"roleName": "Reader", "permissions": [{"actions": ["*/read"]}]}}`,
}

// operations are the reads of Azure Resource Manager that may be asked for, with their parameters, and the properties of what they list or tell: of
// github.com/Azure/azure-rest-api-specs, as armsubscriptions v1.3.0 and armauthorization v2.2.0 have them.
var operations = []struct {
	path, version string
	parameters    []string
	properties    []string
}{
	{`/subscriptions`, "2022-12-01", nil, []string{"value", "nextLink", "authorizationSource", "displayName", "id", "managedByTenants", "state", "subscriptionId", "subscriptionPolicies", "tags", "tenantId"}},
	{`/subscriptions/[^/]+/providers/Microsoft\.Authorization/roleAssignments`, "2022-04-01", []string{"$filter", "tenantId"},
		[]string{"value", "nextLink", "id", "name", "type", "properties", "condition", "conditionVersion", "principalId", "principalType", "roleDefinitionId", "scope"}},
	{`/(?:subscriptions/[^/]+/)?providers/Microsoft\.Authorization/roleDefinitions/[^/]+`, "2022-04-01", nil,
		[]string{"id", "name", "type", "properties", "assignableScopes", "description", "permissions", "roleName", "actions", "notActions", "dataActions", "notDataActions"}},
}

// microsoft answers as Entra ID and Azure Resource Manager do.
type microsoft struct {
	t       *testing.T
	secret  string
	claims  string       // of the token for Microsoft Graph
	refusal asktest.Page // instead of that token
	noARM   bool
	pages   map[string]asktest.Page // of the manager, by path
	tokens  []string
}

func (m *microsoft) serve(w http.ResponseWriter, r *http.Request) string {
	what := r.Method + " " + r.Host + r.URL.Path
	switch r.Host {
	case "login.microsoftonline.com":
		m.login(w, r)
	case "management.azure.com":
		if token := r.Header.Get("Authorization"); token != "Bearer "+m.tokens[1] || r.Method != http.MethodGet {
			m.t.Errorf("%s with %q", what, token)
		}
		m.manage(w, r)
	default:
		m.t.Errorf("asked %s", what)
	}
	return what
}

func (m *microsoft) login(w http.ResponseWriter, r *http.Request) {
	form := func(name string) string { return r.PostFormValue(name) }
	if r.Method != http.MethodPost || r.URL.RequestURI() != "/"+tenant+"/oauth2/v2.0/token" || form("client_id") != client || form("grant_type") != "client_credentials" || len(r.PostForm) != 4 {
		m.t.Errorf("asked for a token by %s %s", r.Method, r.URL)
	}
	page := asktest.Page{Body: fmt.Sprintf(`{"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": %q}`, m.tokens[1])}
	switch {
	case form("client_secret") != m.secret:
		page = refused(401, "invalid_client", 7000215)
	case form("scope") == "https://graph.microsoft.com/.default":
		page.Body = strings.Replace(page.Body, m.tokens[1], m.tokens[0], 1)
		if m.refusal.Status != 0 || m.refusal.Body != "" {
			page = m.refusal
		}
	case form("scope") != "https://management.azure.com/.default":
		m.t.Errorf("asked for %s", form("scope"))
	case m.noARM:
		page = refused(400, "invalid_resource", 500011)
	}
	page.Write(w)
}

func refused(status int, name string, code int) asktest.Page {
	return asktest.Page{Status: status, Body: fmt.Sprintf(`{"error": %q, "error_description": "AADSTS%d: …", "error_codes": [%d], "trace_id": "t", "correlation_id": "c"}`, name, code, code)}
}

func (m *microsoft) manage(w http.ResponseWriter, r *http.Request) {
	page, ok := m.pages[r.URL.Path]
	if id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]; definitions[id] != "" && !ok {
		page = asktest.Page{Body: definitions[id]}
	} else if !ok {
		page = asktest.Page{Status: 403, Body: `{"error": {"code": "AuthorizationFailed", "message": "…"}}`}
	}
	known := false
	for _, o := range operations {
		if !regexp.MustCompile(`^` + o.path + `$`).MatchString(r.URL.Path) {
			continue
		}
		known = r.URL.Query().Get("api-version") == o.version
		for name := range r.URL.Query() {
			known = known && (name == "api-version" || slices.Contains(o.parameters, name))
		}
		for _, name := range regexp.MustCompile(`"(\w+)":`).FindAllStringSubmatch(page.Body, -1) {
			if page.Status == 0 && !slices.Contains(o.properties, name[1]) {
				m.t.Errorf("%s does not answer with %s", r.URL.Path, name[1])
			}
		}
	}
	if f := r.URL.Query().Get("$filter"); !known || f != "" && f != "assignedTo('"+object+"')" {
		m.t.Errorf("%s is no operation", r.URL)
	}
	page.Write(w)
}

func TestVerify(t *testing.T) {
	const assignments = "/subscriptions/" + subscription + "/providers/Microsoft.Authorization/roleAssignments"
	listed := asktest.Page{Body: `{"value": [{"id": "/subscriptions/` + subscription + `", "subscriptionId": "` + subscription + `", "state": "Enabled"}]}`}
	has := func(roles ...string) map[string]asktest.Page {
		var list []string
		for _, role := range roles {
			list = append(list, `{"properties": {"roleDefinitionId": "/subscriptions/`+subscription+`/providers/Microsoft.Authorization/roleDefinitions/`+role+`", "principalId": "`+object+`", "scope": "/subscriptions/`+subscription+`"}}`)
		}
		return map[string]asktest.Page{"/subscriptions": listed, assignments: {Body: `{"value": [` + strings.Join(list, ",") + `]}`}}
	}
	const plain = `{"oid": "` + object + `", "app_displayname": "ci", "wids": ["0997a1d0-0d1d-4acb-b408-d5ca73121e90"]}`
	empty := map[string]asktest.Page{"/subscriptions": {Body: `{"value": []}`}}
	active := func(level audit.Level, calls int, limit string) asktest.Want {
		return asktest.Want{Validity: audit.Active, Level: level, Calls: calls, Limit: limit}
	}
	unknown, inactive := asktest.Want{Validity: audit.Unknown, Calls: 1}, asktest.Want{Validity: audit.Inactive, Calls: 1}
	for _, c := range []struct {
		name string
		m    microsoft
		want asktest.Want
	}{
		{"an owner", microsoft{claims: plain, pages: has(reader, owner)}, asktest.Want{Validity: audit.Active, Level: audit.LevelAdmin, Calls: 6, Limit: "Key Vault",
			Facts: map[string]string{"application": client, "tenant": tenant, "name": "ci", "subscriptions": "1", "host": "login.microsoftonline.com"}}},
		{"hands out roles", microsoft{claims: plain, pages: has(accessAdmin)}, active(audit.LevelEscalation, 5, "")},
		{"a contributor", microsoft{claims: plain, pages: has(contributor)}, active(audit.LevelWrite, 5, "")},
		{"a reader", microsoft{claims: plain, pages: has(reader)}, active(audit.LevelRead, 5, "")},
		{"may not list its roles", microsoft{claims: plain, pages: map[string]asktest.Page{"/subscriptions": listed}}, active(audit.LevelRead, 4, "not all of its roles")},
		{"a role that is nowhere", microsoft{claims: plain, pages: has(client)}, active(audit.LevelRead, 5, "was not told")},
		{"no subscription", microsoft{claims: plain, pages: empty}, active(audit.LevelUnknown, 3, "")},
		{"no Azure", microsoft{claims: plain, noARM: true}, active(audit.LevelUnknown, 2, "no token for Azure Resource Manager (400)")},
		{"reads users", microsoft{claims: `{"oid": "` + object + `", "roles": ["User.Read.All"]}`, pages: empty}, active(audit.LevelRead, 3, "")},
		{"sends mail", microsoft{claims: `{"roles": ["Mail.Send", "User.ReadBasic.All"]}`, pages: empty}, active(audit.LevelWrite, 3, "")},
		{"gives itself permissions", microsoft{claims: `{"roles": ["AppRoleAssignment.ReadWrite.All"]}`, pages: empty}, active(audit.LevelEscalation, 3, "")},
		{"administers the tenant", microsoft{claims: `{"wids": ["62e90394-69f5-4237-9190-012177145e10", "` + client + `"]}`, pages: empty}, active(audit.LevelAdmin, 3, "directory role "+client)},
		{"a token that is no JWT", microsoft{claims: "-", pages: empty}, active(audit.LevelUnknown, 3, "cannot be read")},
		{"expired", microsoft{refusal: refused(401, "invalid_client", 7000222)}, inactive},
		{"disabled", microsoft{refusal: refused(400, "unauthorized_client", 7000112)}, inactive},
		{"another one's", microsoft{refusal: refused(401, "invalid_client", 7000215)}, inactive},
		{"another tenant's", microsoft{refusal: refused(400, "unauthorized_client", 700016)}, unknown},
		{"conditional access", microsoft{refusal: refused(400, "invalid_grant", 53003)}, active(audit.LevelUnknown, 1, "conditional access")},
		{"a role whose id is a path", microsoft{claims: plain, pages: has("x/../../../../subscriptions")}, active(audit.LevelRead, 4, "was not told")},
		{"another reason", microsoft{refusal: refused(400, "invalid_request", 1)}, unknown},
		{"a page", microsoft{refusal: asktest.Page{Body: "<html>"}}, unknown},
		{"a redirect", microsoft{refusal: asktest.Page{Status: 302, Header: map[string]string{"Location": "https://example.com"}}}, unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &c.m
			m.t, m.secret = t, rand.Text()+"~"
			claims := base64.RawURLEncoding.EncodeToString([]byte(m.claims))
			m.tokens = []string{rand.Text() + "." + claims + "." + rand.Text(), rand.Text()}
			s := audit.NewSecret(audit.KindAzureSecret, client, m.secret)
			s.SetPart(audit.PartTenant, tenant)
			issuer := asktest.Serve(t, nil, m.serve)
			issuer.Holds(t, azure.New(issuer.Env, true), s, c.want)
			verdict, _ := azure.New(issuer.Env, true).Verify(t.Context(), s)
			b, _ := json.Marshal(verdict)
			for _, token := range m.tokens {
				if strings.Contains(string(b)+fmt.Sprintf("%+v", verdict), token) {
					t.Error("a token that was given for the secret is shown")
				}
			}
		})
	}
}

// Nobody is asked offline, nor about a secret whose application or tenant is not known.
func TestNotAsked(t *testing.T) {
	for _, c := range []struct {
		name, client, tenant, value string
		live                        bool
		fact                        string
	}{
		{"offline", client, "acme.onmicrosoft.com", "x", false, "tenant=acme.onmicrosoft.com"},
		{"no tenant", client, "", "x", true, "application=" + client},
		{"no application", "", tenant, "x", true, "reason=not asked: the application's id and its tenant do not both stand beside it"},
		{"a path", client, "../common", "x", true, "reason=not asked: the application's id and its tenant do not both stand beside it"},
		{"two lines", client, tenant, "x\ny", true, "reason=not asked: what was found cannot be sent as a secret"},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer := asktest.Serve(t, nil, func(http.ResponseWriter, *http.Request) string { return "asked" })
			s := audit.NewSecret(audit.KindAzureSecret, c.client, c.value)
			s.SetPart(audit.PartTenant, c.tenant)
			verdict, err := azure.New(issuer.Env, c.live).Verify(t.Context(), s)
			name, want, _ := strings.Cut(c.fact, "=")
			if err != nil || verdict.Validity != audit.Unchecked || verdict.Facts[name] != want || len(issuer.Asked()) > 0 {
				t.Errorf("got %+v, %v after %q; want %s", verdict, err, issuer.Asked(), c.fact)
			}
		})
	}
}
