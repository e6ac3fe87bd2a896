package github

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// app mints installation tokens of a GitHub App (docs.github.com/apps: "Authenticating as a GitHub App installation").
type app struct {
	id        string
	key       *rsa.PrivateKey
	now       func() time.Time
	api       *http.Client
	self      *forge.Credential // the App itself, which is what api goes with
	base      *url.URL
	chosen    []string // installations that the user named
	installed []*installation
	mu        sync.Mutex   // of installed, and held while they are asked for
	skew      atomic.Int64 // by how much the forge's clock is ahead of ours
}

// appFromEnv makes an app of the LEAKREACH_GITHUB_APP_… variables, or nil if none of them is set.
func appFromEnv(env audit.Env, config forge.Config) (*app, error) {
	const prefix = "LEAKREACH_GITHUB_APP_"
	id, installations, file := strings.TrimSpace(env.Getenv(prefix+"ID")), strings.TrimSpace(env.Getenv(prefix+"INSTALLATION_ID")), env.Getenv(prefix+"PRIVATE_KEY_FILE")
	if id == "" && installations == "" && file == "" {
		return nil, nil
	}
	if id == "" || file == "" {
		return nil, fmt.Errorf("%w: a GitHub App needs both %[2]sID and %[2]sPRIVATE_KEY_FILE", audit.ErrUsage, prefix)
	}
	a := &app{id: id, now: env.Now, base: config.Base}
	if installations != "" {
		for n := range strings.SplitSeq(installations, ",") {
			if n = strings.TrimSpace(n); !isNumber(n) {
				return nil, fmt.Errorf("%w: %sINSTALLATION_ID is not a number, nor several with commas between them", audit.ErrUsage, prefix)
			}
			a.chosen = append(a.chosen, n)
		}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: reading %sPRIVATE_KEY_FILE: %w", audit.ErrUsage, prefix, err)
	}
	if a.key, err = parseKey(content); err != nil {
		return nil, fmt.Errorf("%w: reading %sPRIVATE_KEY_FILE: %w", audit.ErrUsage, prefix, err)
	}
	a.self = &forge.Credential{Name: "the GitHub App", ID: "app " + id, Token: func(context.Context) (string, error) { return a.jwt() }, Renew: a.correct}
	config.Credentials = forge.Any([]*forge.Credential{a.self})
	a.api = forge.New(env, config)
	return a, nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 63)
	return err == nil
}

// An installation is the App in one organisation or user account, whose repositories it reads with a token of its own.
type installation struct {
	*app
	id, owner   string
	permissions map[string]string // as its owner accepted them
	suspended   bool
	credential  *forge.Credential

	mu      sync.Mutex
	current string
	renew   time.Time // when another one is asked for
}

// String names the installation.
func (i *installation) String() string {
	return "GitHub App " + i.app.id + ", installation " + i.id + " in " + i.owner
}

// A described installation is what GitHub tells of one.
type described struct {
	ID      int64 `json:"id"`
	Account struct {
		Login string `json:"login"`
		Slug  string `json:"slug"` // of an enterprise
	} `json:"account"`
	Permissions map[string]string `json:"permissions"`
	Suspended   *time.Time        `json:"suspended_at"`
}

func (a *app) install(d described) *installation {
	i := &installation{app: a, id: strconv.FormatInt(d.ID, 10), owner: cmp.Or(d.Account.Login, d.Account.Slug), permissions: d.Permissions, suspended: d.Suspended != nil}
	i.credential = &forge.Credential{Name: "GitHub App installation " + i.id, ID: "installation " + i.id, Token: i.token, Renew: i.drop}
	return i
}

// choose is the installation of the owner that a request asks about.
func (a *app) choose(req *http.Request) ([]*forge.Credential, error) {
	path := strings.Split(strings.TrimPrefix(req.URL.Path, a.base.Path+"/"), "/")
	owner := ""
	if len(path) > 1 && (path[0] == "repos" || path[0] == "orgs" || path[0] == "users") {
		owner = path[1]
	}
	credential, err := a.of(req.Context(), owner)
	return []*forge.Credential{credential}, err
}

// of returns what an owner's repositories are read with.
func (a *app) of(ctx context.Context, owner string) (*forge.Credential, error) {
	i, err := a.installation(ctx, owner)
	if err != nil {
		return nil, err
	}
	return i.credential, nil
}

// unsuspend is advice.
const unsuspend = "an owner of the account has to unsuspend it, on the page of its installed GitHub Apps"

// installation is that in an owner's account. What belongs to nobody who installed the App, any of them sees as far as it is public.
func (a *app) installation(ctx context.Context, owner string) (*installation, error) {
	all, err := a.installations(ctx)
	if err != nil {
		return nil, err
	}
	var any *installation
	for _, i := range all {
		own := strings.EqualFold(i.owner, owner)
		switch {
		case own && i.suspended:
			return nil, audit.Hint(fmt.Errorf("%w: %s is suspended", audit.ErrAuth, i), unsuspend)
		case own:
			return i, nil
		case any == nil && !i.suspended:
			any = i
		}
	}
	if any == nil {
		return nil, audit.Hint(fmt.Errorf("%w: every installation of the GitHub App is suspended", audit.ErrAuth), unsuspend)
	}
	return any, nil
}

// installations are those that the user named, or all.
func (a *app) installations(ctx context.Context) ([]*installation, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.installed != nil {
		return a.installed, nil
	}
	var all []*installation
	for _, id := range a.chosen {
		var d described
		if _, err := a.call(ctx, http.MethodGet, "app/installations/"+id, nil, &d); err != nil {
			return nil, fmt.Errorf("reading GitHub App installation %s: %w", id, denied(err))
		}
		d.ID, _ = strconv.ParseInt(id, 10, 64)
		all = append(all, a.install(d))
	}
	if len(a.chosen) == 0 {
		key := func(d described) string { return strconv.FormatInt(d.ID, 10) }
		for d, err := range forge.Pages(ctx, key, func(ctx context.Context, cursor string) (page forge.Page[described], err error) {
			number := max(1, atoi(cursor))
			_, err = a.call(ctx, http.MethodGet, fmt.Sprintf("app/installations?per_page=100&page=%d", number), nil, &page.Items)
			if len(page.Items) == 100 {
				page.Next = strconv.Itoa(number + 1)
			}
			return page, err
		}) {
			if err != nil {
				return nil, fmt.Errorf("listing the installations of the GitHub App: %w", denied(err))
			}
			all = append(all, a.install(d))
		}
	}
	if len(all) == 0 {
		return nil, audit.Hint(fmt.Errorf("%w: the GitHub App is installed nowhere", audit.ErrAuth), "install it in the organisations that it is to read")
	}
	a.installed = all
	return all, nil
}

// denied makes of a refusal of the App itself what ends the run: nobody must take its status for that of what the App's token was to be used for.
func denied(err error) error {
	e := (*forge.Error)(nil)
	if !errors.As(err, &e) || !e.Until.IsZero() || e.Status < 400 || e.Status >= 500 {
		return err
	}
	advice := "check the App's id and private key, and that both are of an App on " + hostOf(e.URL)
	if e.Status == http.StatusNotFound {
		advice = "check the installation's id, and that the App is still installed there"
	}
	return audit.Hint(fmt.Errorf("%w: %s", audit.ErrAuth, e.Error()), advice)
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// call asks as the App itself, and returns when it was answered, on the forge's clock.
func (a *app) call(ctx context.Context, method, path string, in, out any) (at time.Time, err error) {
	var body []byte
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return at, err
		}
	}
	// Whatever credential the request that a token is minted for is to go with, that of an installation most of all. A token that nobody got hurts nobody.
	ctx = forge.Repeatable(forge.With(ctx, a.self))
	req, err := http.NewRequestWithContext(ctx, method, a.base.JoinPath("/").String()+path, bytes.NewReader(body))
	if err != nil {
		return at, err
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.api.Do(req)
	if err != nil {
		return at, forge.Plain(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if at, err = http.ParseTime(resp.Header.Get("Date")); err != nil {
		at = a.now()
	}
	return at, json.NewDecoder(resp.Body).Decode(out)
}

func parseKey(content []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("it holds no PEM key")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it holds no RSA private key")
	}
	rsaKey, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("its key is not an RSA key")
	}
	return rsaKey, nil
}

// jwt signs what proves to be the App: issued a minute in the past against clock drift, good for nine minutes of the ten GitHub allows.
func (a *app) jwt() (string, error) {
	now := a.now().Add(time.Duration(a.skew.Load()))
	claims, err := json.Marshal(map[string]any{"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(9 * time.Minute).Unix(), "iss": a.id})
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding
	signed := b64.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + b64.EncodeToString(claims)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("signing as the GitHub App: %w", err)
	}
	return signed + "." + b64.EncodeToString(signature), nil
}

// smallSkew is what a token's minute in the past covers.
const smallSkew = 30 * time.Second

// correct goes by the forge's clock from now on, if that is why it refuses what the App signed: a machine's may be wrong by hours.
func (a *app) correct(_ string, refusal *forge.Error) bool {
	if refusal.Date.IsZero() {
		return false
	}
	skew := refusal.Date.Sub(a.now())
	was := time.Duration(a.skew.Swap(int64(skew)))
	return max(skew.Abs(), was.Abs()) > smallSkew
}

// mostLife is how long GitHub lets an installation's token live.
const mostLife = time.Hour

// token returns an installation token that is good for at least five minutes more.
func (i *installation) token(ctx context.Context) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.current != "" && i.now().Before(i.renew) {
		return i.current, nil
	}
	var minted struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	path := "app/installations/" + i.id + "/access_tokens"
	var only any
	if rights := reading(i.permissions); len(rights) > 0 {
		only = map[string]any{"permissions": rights}
	}
	at, err := i.call(ctx, http.MethodPost, path, only, &minted)
	if only != nil && forge.StatusOf(err) == http.StatusUnprocessableEntity { // a right that cannot be had for reading alone
		at, err = i.call(ctx, http.MethodPost, path, nil, &minted)
	}
	if err == nil {
		minted.Token, err = forge.Token("the GitHub App's answer", minted.Token)
	}
	if err == nil && minted.Token == "" {
		err = errors.New("the answer holds none")
	}
	if err != nil {
		return "", fmt.Errorf("minting a token of %s: %w", i, denied(err))
	}
	// The end is on the forge's clock. What is left is the same on both.
	life := min(minted.ExpiresAt.Sub(at), mostLife)
	i.current, i.renew = minted.Token, i.now().Add(max(life-5*time.Minute, life/2))
	return i.current, nil
}

// drop forgets a token that was revoked before its time.
func (i *installation) drop(token string, _ *forge.Error) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.current == token {
		i.current = ""
	}
	return true
}

// writeOnly are the rights that GitHub has no reading form of.
var writeOnly = map[string]bool{"workflows": true, "profile": true, "gists": true}

// reading are rights that only read, whatever the App may: a token that gets lost is worth no more.
func reading(granted map[string]string) map[string]string {
	only := map[string]string{}
	for right, level := range granted {
		switch {
		case writeOnly[right]:
		case right == "codespaces_secrets": // without a reading form, too, and it takes this to list names
			only[right] = level
		default:
			only[right] = "read"
		}
	}
	return only
}
