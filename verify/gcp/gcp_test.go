package gcp_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/verify/gcp"
	"github.com/leakreach/leakreach/verify/internal/asktest"
)

const email = "deploy@acme-prod.iam.gserviceaccount.com"

func newKey(t *testing.T) (*rsa.PrivateKey, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// google answers as the two hosts do that are asked. Who asks is known by the signature, and by the token that was given for it.
type google struct {
	t       *testing.T
	key     *rsa.PublicKey
	kid     string
	token   string
	answer  asktest.Page        // instead of a token, unless it is empty
	grants  map[string][]string // by project
	listing asktest.Page
	doc     discovery
}

// discovery is what of Google's description of an API is held against what is asked and answered.
type discovery struct {
	Resources struct {
		Projects struct {
			Methods map[string]struct {
				HTTPMethod, FlatPath string
				Parameters           map[string]struct{ Location string }
				Request, Response    struct {
					Ref string `json:"$ref"`
				}
				Scopes []string
			}
		}
	}
	Schemas map[string]struct{ Properties map[string]any }
}

func describe(t *testing.T) (d discovery) {
	t.Helper()
	b, err := os.ReadFile("testdata/cloudresourcemanager-v1.json")
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (g *google) serve(w http.ResponseWriter, r *http.Request) string {
	what := r.Method + " " + r.Host + r.URL.Path
	switch r.Host {
	case "oauth2.googleapis.com":
		g.exchange(w, r)
	case "cloudresourcemanager.googleapis.com":
		if r.Header.Get("Authorization") != "Bearer "+g.token {
			g.t.Errorf("%s with %q", what, r.Header.Get("Authorization"))
		}
		g.projects(w, r)
	default:
		g.t.Errorf("asked %s", what)
	}
	return what
}

func (g *google) exchange(w http.ResponseWriter, r *http.Request) {
	if r.URL.RequestURI() != "/token" || r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || len(r.PostForm) != 2 {
		g.t.Errorf("asked for a token by %s with %v", r.URL, slices.Collect(maps.Keys(r.PostForm)))
	}
	parts := strings.Split(r.PostFormValue("assertion"), ".")
	if len(parts) != 3 {
		g.t.Fatalf("a statement of %d parts", len(parts))
	}
	var header struct{ Alg, Typ, Kid string }
	var claims struct {
		Iss, Scope, Aud string
		Iat, Exp        int64
	}
	for i, into := range []any{&header, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(b, into)
		}
		if err != nil {
			g.t.Fatal(err)
		}
	}
	if header.Alg != "RS256" || header.Kid != g.kid || claims.Iss != email || claims.Aud != "https://oauth2.googleapis.com/token" || claims.Exp-claims.Iat > 3600 ||
		!slices.Contains(g.doc.Resources.Projects.Methods["testIamPermissions"].Scopes, claims.Scope) || !strings.HasSuffix(claims.Scope, "read-only") {
		g.t.Errorf("states %+v, %+v", header, claims)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	now := time.Now().Unix()
	page := g.answer
	switch {
	case page.Status != 0 || page.Body != "":
	case now < claims.Iat || now >= claims.Exp:
		page = refused("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.")
	case err != nil || rsa.VerifyPKCS1v15(g.key, crypto.SHA256, sum[:], signature) != nil:
		page = refused("invalid_grant", "Invalid JWT Signature.")
	default:
		page.Body = fmt.Sprintf(`{"access_token": %q, "expires_in": 3599, "token_type": "Bearer"}`, g.token)
	}
	page.Write(w)
}

func refused(code, text string) asktest.Page {
	return asktest.Page{Status: http.StatusBadRequest, Body: fmt.Sprintf(`{"error": %q, "error_description": %q}`, code, text)}
}

func (g *google) projects(w http.ResponseWriter, r *http.Request) {
	name := "list"
	project, asks := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v1/projects/"), ":testIamPermissions")
	if asks {
		name = "testIamPermissions"
	}
	method := g.doc.Resources.Projects.Methods[name]
	if want := strings.Replace(method.FlatPath, "{resource}", project, 1); r.Method != method.HTTPMethod || r.URL.Path != "/"+want {
		g.t.Errorf("%s %s is no method of the API", r.Method, r.URL.Path)
	}
	for name := range r.URL.Query() {
		if method.Parameters[name].Location != "query" {
			g.t.Errorf("%s has no parameter %s", r.URL.Path, name)
		}
	}
	if !asks {
		if g.listing.Status == 0 {
			g.holds(method.Response.Ref, []byte(g.listing.Body))
		}
		g.listing.Write(w)
		return
	}
	var body struct{ Permissions []string }
	var raw json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&raw); err != nil || json.Unmarshal(raw, &body) != nil {
		g.t.Errorf("asks %s: %v", raw, err)
	}
	g.holds(method.Request.Ref, raw)
	grants, known := g.grants[project]
	if !known {
		asktest.Page{Status: http.StatusForbidden, Body: `{"error": {"code": 403, "status": "PERMISSION_DENIED"}}`}.Write(w)
		return
	}
	answer := map[string][]string{}
	for _, p := range grants {
		if !slices.Contains(body.Permissions, p) {
			g.t.Errorf("does not ask about %s", p)
		}
		answer["permissions"] = append(answer["permissions"], p)
	}
	b, _ := json.Marshal(answer)
	g.holds(method.Response.Ref, b)
	_, _ = w.Write(b)
}

// holds tells whether the properties of a message are those of its schema.
func (g *google) holds(schema string, message []byte) {
	var properties map[string]any
	if json.Unmarshal(message, &properties) != nil {
		return // a page of the test that is to be none
	}
	for name := range properties {
		if _, ok := g.doc.Schemas[schema].Properties[name]; !ok {
			g.t.Errorf("%s has no %s", schema, name)
		}
	}
}

func TestVerify(t *testing.T) {
	private, text := newKey(t)
	_, other := newKey(t)
	const list = "GET cloudresourcemanager.googleapis.com/v1/projects"
	seen := asktest.Page{Body: `{"projects": [{"projectId": "acme-prod"}, {"projectId": "acme-test", "lifecycleState": "ACTIVE"}]}`}
	empty, token := asktest.Page{Body: `{}`}, asktest.Page{}
	for _, c := range []struct {
		name, value string
		answer      asktest.Page
		listing     asktest.Page
		grants      map[string][]string
		want        asktest.Want
	}{
		{"an owner", text, token, seen, map[string][]string{"acme-prod": {"storage.objects.get"}, "acme-test": {"resourcemanager.projects.setIamPolicy"}},
			asktest.Want{Validity: audit.Active, Level: audit.LevelAdmin, Calls: 4, Limit: "lower bound", Facts: map[string]string{
				"service_account": email, "project": "acme-prod", "projects_seen": "2", "host": "oauth2.googleapis.com",
			}}},
		{"can become another account", strings.ReplaceAll(text, "\n", `\n`), token, empty, map[string][]string{"acme-prod": {"iam.serviceAccountKeys.create", "storage.objects.create"}},
			asktest.Want{Validity: audit.Active, Level: audit.LevelEscalation, Calls: 3}},
		{"pushes images", strings.ReplaceAll(text, "\n", `\\n`), token, empty, map[string][]string{"acme-prod": {"artifactregistry.repositories.uploadArtifacts"}},
			asktest.Want{Validity: audit.Active, Level: audit.LevelWrite, Calls: 3}},
		{"reads secrets", text, token, empty, map[string][]string{"acme-prod": {"secretmanager.versions.access"}}, asktest.Want{Validity: audit.Active, Level: audit.LevelRead, Calls: 3}},
		{"nothing in its project", text, token, empty, map[string][]string{"acme-prod": {}}, asktest.Want{Validity: audit.Active, Level: audit.LevelUnknown, Calls: 3}},
		{"an API that is off", text, token, asktest.Page{Status: 403, Body: `{"error": {"code": 403}}`}, nil,
			asktest.Want{Validity: audit.Active, Level: audit.LevelUnknown, Calls: 3, Limit: "may not be listed with it (403)"}},
		{"a deleted key", other, token, empty, nil, asktest.Want{Validity: audit.Inactive, Calls: 1}},
		{"a deleted account", text, refused("invalid_grant", "Invalid grant: account not found"), empty, nil, asktest.Want{Validity: audit.Inactive, Calls: 1}},
		{"another refusal", text, refused("invalid_scope", "Some requested scopes were invalid."), empty, nil, asktest.Want{Validity: audit.Unknown, Calls: 1}},
		{"a redirect", text, asktest.Page{Status: 302, Header: map[string]string{"Location": "https://example.com"}}, empty, nil, asktest.Want{Validity: audit.Unknown, Calls: 1}},
		{"a page", text, asktest.Page{Body: "<html>"}, empty, nil, asktest.Want{Validity: audit.Unknown, Calls: 1}},
		{"a listing that is none", text, token, asktest.Page{Body: "["}, nil, asktest.Want{Validity: audit.Active, Level: audit.LevelUnknown, Calls: 2, Limit: "not the JSON"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &google{t: t, key: &private.PublicKey, kid: "k1", token: "ya29." + rand.Text(), answer: c.answer, listing: c.listing, grants: c.grants, doc: describe(t)}
			s := audit.NewSecret(audit.KindGCPKey, email, c.value)
			s.SetPart(audit.PartKeyID, g.kid)
			issuer := asktest.Serve(t, nil, g.serve)
			issuer.Holds(t, gcp.New(issuer.Env, true), s, c.want)
			if asked := issuer.Asked(); c.want.Calls > 1 && asked[1] != list {
				t.Errorf("asked %q", asked)
			}
			verdict, _ := gcp.New(issuer.Env, true).Verify(t.Context(), s)
			if b, _ := json.Marshal(verdict); strings.Contains(string(b)+fmt.Sprintf("%+v", verdict), g.token) {
				t.Error("the token that was given for the key is shown")
			}
		})
	}
}

// Without a clock that Google's is like, nothing is known of a key.
func TestClock(t *testing.T) {
	private, text := newKey(t)
	g := &google{t: t, key: &private.PublicKey, doc: describe(t)}
	issuer := asktest.Serve(t, nil, g.serve)
	issuer.Env.Now = func() time.Time { return time.Now().Add(time.Hour) }
	verdict, err := gcp.New(issuer.Env, true).Verify(t.Context(), audit.NewSecret(audit.KindGCPKey, email, text))
	if err != nil || verdict.Validity != audit.Unknown || !strings.Contains(verdict.Facts["reason"], "clock") {
		t.Errorf("got %+v, %v", verdict, err)
	}
}

// Nobody is asked offline, nor about what is no key or no account.
func TestNotAsked(t *testing.T) {
	_, text := newKey(t)
	for _, c := range []struct {
		name, email, value string
		live               bool
		fact               string
	}{
		{"offline", email, text, false, "project=acme-prod"},
		{"an account of App Engine's", "acme@appspot.gserviceaccount.com", text, false, "project=acme"},
		{"one of Compute Engine's", "12345-compute@developer.gserviceaccount.com", text, false, "project=12345"},
		{"a project of a domain", "ci@web.example.com.iam.gserviceaccount.com", text, false, "project=example.com:web"},
		{"no account", "deploy@example.com", text, true, "reason=not asked: it is not a service account's name"},
		{"a path", "../x@acme.iam.gserviceaccount.com", text, true, "reason=not asked: it is not a service account's name"},
		{"no key", email, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", true, "reason=not asked: what was found is no RSA key as Google makes them"},
		{"a long one", email, strings.Repeat("A", 1<<20), true, "reason=not asked: what was found is no RSA key as Google makes them"},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer := asktest.Serve(t, nil, func(http.ResponseWriter, *http.Request) string { return "asked" })
			verdict, err := gcp.New(issuer.Env, c.live).Verify(t.Context(), audit.NewSecret(audit.KindGCPKey, c.email, c.value))
			name, want, _ := strings.Cut(c.fact, "=")
			if err != nil || verdict.Validity != audit.Unchecked || verdict.Facts[name] != want || len(issuer.Asked()) > 0 {
				t.Errorf("got %+v, %v after %q; want %s", verdict, err, issuer.Asked(), c.fact)
			}
		})
	}
}
