// Package docker judges found logins of container registries: whether one works, and which images it may pull and push.
//
// A login is kept beside the name of its registry, and whoever wrote a file chose that name. So nobody is asked but the large public registries, and those
// that the user names: in the configuration, or as CI_REGISTRY, CI_SERVER_URL, GITLAB_URL or GITEA_URL. What is asked is what a client asks before it pulls
// or pushes, see https://distribution.github.io/distribution/spec/auth/token/: a token, which says what it is good for.
package docker

import (
	"cmp"
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

// maxRepositories are asked what a login may do with them; a registry lists a hundred.
const maxRepositories = 5

// hub is Docker Hub, whose API lists what a registry's own does not: https://docs.docker.com/reference/api/hub/latest/
const (
	hub    = "docker.io"
	hubAPI = "https://hub.docker.com"
)

// A realm is who gives tokens for a registry.
type realm struct{ address, path, service string }

// realms are those of the public registries, as they name them themselves.
var realms = map[string]realm{
	hub:                   {"https://auth.docker.io", "/token", "registry.docker.io"},
	"ghcr.io":             {"https://ghcr.io", "/token", "ghcr.io"},
	"quay.io":             {"https://quay.io", "/v2/auth", "quay.io"},
	"registry.gitlab.com": {"https://gitlab.com", "/jwt/auth", "container_registry"},
}

// hubNames are the names that Docker Hub has in configurations.
var hubNames = []string{"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com", "auth.docker.io"}

// Verifier judges logins. It is safe for concurrent use.
type Verifier struct {
	env   audit.Env
	live  bool
	named map[string]bool // hosts that the user names
}

// New makes a verifier, which asks registries if it is live: public ones, and those whose hosts are named.
func New(env audit.Env, live bool, registries []string) *Verifier {
	v := &Verifier{env: env, live: live, named: map[string]bool{}}
	for _, name := range []string{"CI_REGISTRY", "CI_SERVER_URL", "GITLAB_URL", "GITEA_URL"} {
		registries = append(slices.Clip(registries), env.Getenv(name))
	}
	for _, name := range registries {
		if host := hostOf(name); host != "" {
			v.named[host] = true
		}
	}
	return v
}

// Kinds implements [audit.Verifier].
func (v *Verifier) Kinds() []string { return []string{audit.KindRegistryLogin} }

var isHost = lazyregexp.New(`^[a-z0-9](?:[a-z0-9.-]{0,253}[a-z0-9])?(?::[0-9]{1,5})?$`)

// hostOf is the host and port of an address or of a name without a scheme, or "".
func hostOf(address string) string {
	host := strings.ToLower(address)
	if _, rest, ok := strings.Cut(host, "://"); ok {
		host = rest
	}
	host, _, _ = strings.Cut(host, "/")
	switch {
	case !isHost().MatchString(host):
		return ""
	case slices.Contains(hubNames, host):
		return hub
	}
	return host
}

// address is where a host is asked: by https, unless it is this machine, as Docker does.
func address(host string) string {
	if name, _, _ := strings.Cut(host, ":"); name == "localhost" || name == "127.0.0.1" {
		return "http://" + host
	}
	return "https://" + host
}

// Verify implements [audit.Verifier].
func (v *Verifier) Verify(ctx context.Context, s *audit.Secret) (audit.Verdict, error) {
	verdict := ask.Offline(v.env)
	l := &login{v: v, host: hostOf(s.RevealPart(audit.PartHost)), user: s.ID, password: s.Reveal()}
	for name, text := range map[string]string{"registry": l.host, "login": l.user, "form": form(l.password)} {
		if text != "" {
			verdict.Facts[name] = text
		}
	}
	_, public := realms[l.host]
	switch {
	case l.user == "":
		verdict.Facts["reason"] = "not asked: whose it is does not stand beside it"
	case l.host == "":
		verdict.Facts["reason"] = "not asked: the registry's name is none"
	case !public && !v.named[l.host]:
		verdict.Facts["reason"] = "not asked: files can name any registry; `registries` under [leakreach.verify] says which others may be asked"
	case l.password == "" || len(l.password) > 4096 || len(l.user) > 256 || strings.Contains(l.user, ":"):
		verdict.Facts["reason"] = "not asked: what was found cannot be sent as a login"
	case v.live:
		return l.verify(ctx, verdict, public)
	}
	return verdict, nil
}

// form is what kind of token a password is, see https://docs.docker.com/security/access-tokens/
func form(password string) string {
	switch {
	case strings.HasPrefix(password, "dckr_pat_"):
		return "personal access token of Docker Hub"
	case strings.HasPrefix(password, "dckr_oat_"):
		return "organization access token of Docker Hub"
	}
	return ""
}

// A login is what a registry is asked with.
type login struct {
	v                    *Verifier
	host, user, password string

	tokens *ask.Issuer // gives tokens for the registry
	realm  realm
}

func (l *login) verify(ctx context.Context, verdict audit.Verdict, public bool) (audit.Verdict, error) {
	at := address(l.host)
	if public {
		at = realms[l.host].address
	}
	issuer, err := l.issuer(at)
	if err != nil {
		return audit.Verdict{}, err
	}
	if public {
		l.tokens, l.realm = issuer, realms[l.host]
		return issuer.With(ctx, verdict, http.Header{}, l.bearer)
	}
	return issuer.With(ctx, verdict, http.Header{}, l.challenged)
}

func (l *login) issuer(address string) (*ask.Issuer, error) {
	return ask.NewIssuer(l.v.env, "registries", address)
}

func (l *login) basic() http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(l.user+":"+l.password))}}
}

var parameter = lazyregexp.New(`([a-z]+)="([^"]*)"`)

// challenged asks a registry how it wants to be asked, without the login.
func (l *login) challenged(ctx context.Context, q *ask.Inquiry) error {
	a, err := q.Get(ctx, "/v2/", nil)
	if err != nil {
		return err
	}
	challenge := a.Header.Get("WWW-Authenticate")
	scheme, rest, _ := strings.Cut(challenge, " ")
	switch {
	case a.OK():
		q.Unknown("the registry asks nobody who they are")
		return nil
	case a.Status != http.StatusUnauthorized:
		q.Unexpected(a)
		return nil
	case strings.EqualFold(scheme, "basic"):
		return l.direct(ctx, q)
	case !strings.EqualFold(scheme, "bearer"):
		q.Unknown("the registry asks in a way that is not known")
		return nil
	}
	values := map[string]string{}
	for _, m := range parameter().FindAllStringSubmatch(rest, 16) {
		values[m[1]] = m[2]
	}
	u, err := url.Parse(values["realm"])
	if err != nil {
		u = &url.URL{} // which is no host's
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || hostOf(u.Host) != l.host && !l.v.named[hostOf(u.Host)] || u.Scheme+"://"+u.Host != address(u.Host) {
		q.Unknown("the registry sends its clients elsewhere, to a host that is not named under [leakreach.verify]")
		return nil
	}
	if l.tokens, err = l.issuer(address(u.Host)); err != nil {
		return err
	}
	l.realm = realm{path: u.EscapedPath(), service: values["service"]}
	return l.bearer(ctx, q)
}

// direct asks a registry that takes the login itself.
func (l *login) direct(ctx context.Context, q *ask.Inquiry) error {
	q.Header = l.basic()
	a, err := q.Get(ctx, "/v2/", nil)
	if err != nil {
		return err
	}
	if !works(q, a, true) {
		return nil
	}
	names, err := l.catalog(ctx, q)
	if err == nil && len(names) > 0 {
		q.Limit("whether it may push is not told by this kind of registry")
	}
	return err
}

// works sets whether a login works by the answer to it, where a refusal says that it does not if strict. Forges refuse tokens alike that do not work
// and that are not for images: Gitea does so with 401, which the specification keeps for the first.
func works(q *ask.Inquiry, a *ask.Answer, strict bool) bool {
	refused := a.Status == http.StatusUnauthorized
	switch {
	case a.OK():
		q.Active()
	case refused && strict:
		q.Inactive("refused by " + q.Issuer.Host() + ": wrong, changed, revoked or expired")
	case refused || a.Status == http.StatusForbidden:
		q.Unknown(fmt.Sprintf("refused by %s (%d): it does not work, or not for images", q.Issuer.Host(), a.Status))
	default:
		q.Unexpected(a)
	}
	return a.OK()
}

// bearer asks the issuer of a registry's tokens for one that is good for nothing, and if there is one, for those that are good for what there is.
func (l *login) bearer(ctx context.Context, q *ask.Inquiry) error {
	_, a, err := l.token(ctx, q)
	if err != nil || !works(q, a, l.host == hub) {
		return err
	}
	list := l.listed
	if l.host == hub {
		list = l.repositories
	}
	names, err := list(ctx, q)
	if err != nil || len(names) == 0 {
		return err
	}
	if len(names) > maxRepositories {
		q.Limit("of %d repositories, %d were asked about", len(names), maxRepositories)
	}
	var scopes []string
	for _, name := range names[:min(len(names), maxRepositories)] {
		scopes = append(scopes, "repository:"+name+":pull,push,delete")
	}
	token, a, err := l.token(ctx, q, scopes...)
	if err != nil {
		return err
	}
	l.granted(q, token, a)
	return nil
}

// token asks for a token that is good for some scopes; it is "" where there is none.
func (l *login) token(ctx context.Context, q *ask.Inquiry, scopes ...string) (string, *ask.Answer, error) {
	var answer struct {
		Token  string
		Access string `json:"access_token"`
	}
	q.Issuer, q.Header = l.tokens, l.basic()
	a, err := q.Get(ctx, l.realm.path+"?"+url.Values{"service": {l.realm.service}, "account": {l.user}, "scope": scopes}.Encode(), &answer)
	if token := cmp.Or(answer.Token, answer.Access); err == nil && ask.Sendable(token) {
		return token, a, nil
	}
	return "", a, err
}

// granted says what a token is good for, if it is one that says so: https://distribution.github.io/distribution/spec/auth/jwt/
func (l *login) granted(q *ask.Inquiry, token string, a *ask.Answer) {
	var claims struct {
		Access []struct {
			Name    string
			Actions []string
		}
	}
	parts := strings.Split(token, ".")
	if len(parts) == 3 {
		b, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil && json.Unmarshal(b, &claims) != nil {
			claims.Access = nil
		}
	}
	if len(claims.Access) == 0 {
		q.Limit("what it may do with repositories is not told by the registry's tokens (%d)", a.Status)
		return
	}
	for _, access := range claims.Access {
		level := audit.LevelWrite // push, delete, *
		if len(access.Actions) == 1 && access.Actions[0] == "pull" {
			level = audit.LevelRead
		}
		if len(access.Actions) > 0 {
			q.Raise(level, l.user, l.host+"/"+access.Name, "a token for "+strings.Join(access.Actions, ", "))
		}
	}
}

// listed lists a registry's repositories by a token that is good for that.
func (l *login) listed(ctx context.Context, q *ask.Inquiry) ([]string, error) {
	token, a, err := l.token(ctx, q, "registry:catalog:*")
	if err != nil {
		return nil, err
	}
	if token == "" {
		q.Limit("repositories may not be listed with it (%d)", a.Status)
		return nil, nil
	}
	if q.Issuer, err = l.issuer(address(l.host)); err != nil {
		return nil, err
	}
	q.Header = http.Header{"Authorization": {"Bearer " + token}}
	return l.catalog(ctx, q)
}

// catalog lists a registry's repositories, see https://distribution.github.io/distribution/spec/api/#listing-repositories
func (l *login) catalog(ctx context.Context, q *ask.Inquiry) ([]string, error) {
	var page struct{ Repositories []string }
	a, err := q.Get(ctx, "/v2/_catalog?n=100", &page)
	if err != nil {
		return nil, err
	}
	if !a.OK() {
		q.Limit("repositories may not be listed with it (%d)", a.Status)
		return nil, nil
	}
	more := ""
	if len(page.Repositories) >= 100 || a.Header.Get("Link") != "" {
		more = "at least "
	}
	q.Fact("repositories", more+fmt.Sprint(len(page.Repositories)))
	if len(page.Repositories) > 0 {
		q.Raise(audit.LevelRead, l.user, l.host, "repositories are listed")
	}
	return page.Repositories, nil
}

// repositories lists those of a user of Docker Hub, private ones too, by a token that its API gives for the login.
func (l *login) repositories(ctx context.Context, q *ask.Inquiry) (names []string, err error) {
	if q.Issuer, err = l.issuer(hubAPI); err != nil {
		return nil, err
	}
	q.Header = http.Header{}
	var answer struct {
		Token string `json:"access_token"`
	}
	a, err := q.PostJSON(ctx, "/v2/auth/token", map[string]string{"identifier": l.user, "secret": l.password}, &answer)
	if err != nil {
		return nil, err
	}
	if !ask.Sendable(answer.Token) {
		q.Limit("repositories may not be listed with it (%d)", a.Status)
		return nil, nil
	}
	q.Header = http.Header{"Authorization": {"Bearer " + answer.Token}}
	var page struct {
		Count   int
		Results []struct {
			Name    string
			Private bool `json:"is_private"`
		}
	}
	a, err = q.Get(ctx, "/v2/namespaces/"+url.PathEscape(l.user)+"/repositories?page_size=100", &page)
	if err != nil {
		return nil, err
	}
	if !a.OK() {
		q.Limit("repositories may not be listed with it (%d)", a.Status)
		return nil, nil
	}
	private := 0
	for _, r := range page.Results {
		names = append(names, l.user+"/"+r.Name)
		if r.Private {
			private++
		}
	}
	q.Fact("repositories", fmt.Sprintf("%d, of them %d private among the first %d", page.Count, private, len(page.Results)))
	return names, nil
}
