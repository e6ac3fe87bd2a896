package aws

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
	"github.com/leakreach/leakreach/verify/aws/awstest"
)

const (
	account = "111122223333"
	agent   = "leakreach/1.2.3"
	admin   = "arn:aws:iam::aws:policy/AdministratorAccess"
)

var random = rand.New(rand.NewPCG(1, 2))

// keyID makes a key id that carries an account number.
func keyID(prefix, account string) string {
	n, err := strconv.ParseUint(account, 10, 64)
	if err != nil {
		panic(err)
	}
	b := make([]byte, 10)
	binary.BigEndian.PutUint64(b, (n<<7|1<<47|random.Uint64()&0x7f)<<16|random.Uint64()&0xffff)
	b[8], b[9] = byte(random.Uint32()), byte(random.Uint32())
	return prefix + base32.StdEncoding.EncodeToString(b)
}

func value() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	b := make([]byte, 40)
	for i := range b {
		b[i] = letters[random.IntN(len(letters))]
	}
	return string(b)
}

type world struct {
	*Verifier
	server *awstest.Server
	calls  *audit.Calls
	slept  []time.Duration
	env    map[string]string
}

// newWorld starts a server for an account and a live verifier for it that never waits.
func newWorld(t *testing.T, a awstest.Account, change func(*Options)) *world {
	t.Helper()
	if a.ID == "" {
		a.ID = account
	}
	w := &world{server: awstest.New(a), calls: &audit.Calls{}, env: map[string]string{}}
	t.Cleanup(w.server.Close)
	opts := Options{Mode: Live, Endpoint: w.server.URL, Sleep: func(ctx context.Context, d time.Duration) error {
		w.slept = append(w.slept, d)
		return ctx.Err()
	}}
	if change != nil {
		change(&opts)
	}
	w.Verifier = New(audit.Env{
		HTTP: &http.Client{}, Getenv: func(k string) string { return w.env[k] }, Log: slog.New(slog.DiscardHandler),
		UserAgent: agent, Calls: w.calls, Now: time.Now,
	}, opts)
	w.chain = func(context.Context, string) (aws.CredentialsProvider, error) {
		return nil, errors.New("there are none")
	}
	w.backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
	return w
}

// credentials are those of the auditor.
func (w *world) credentials(id, secret string) {
	w.chain = func(context.Context, string) (aws.CredentialsProvider, error) {
		return static(id, secret, "").provider, nil
	}
}

func (w *world) verify(t *testing.T, s *audit.Secret) audit.Verdict {
	t.Helper()
	v, err := w.Verify(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if all := fmt.Sprintf("%+v %+v", v, v.Reach); s.HasValue() && strings.Contains(all, s.Reveal()) || containsPart(all, s) {
		t.Errorf("verdict shows a secret: %s", all)
	}
	return v
}

func containsPart(all string, s *audit.Secret) bool {
	token := s.RevealPart(audit.PartSessionToken)
	return token != "" && strings.Contains(all, token)
}

func TestAccountOf(t *testing.T) {
	for id, want := range map[string]string{
		"AKIA" + "XYZDQCEN4B6JSJQI":   "534261010715",
		"ASIA" + "XYZDQCEN4B6JSJQI":   "534261010715",
		"AKIA" + "IOSFODNN7EXAMPLE":   "",
		"AKIA" + "JYZDQCEN4B6JSJQI":   "",
		"AROA" + "XYZDQCEN4B6JSJQI":   "",
		"AKIA" + "XYZDQCEN4B6JSJQ1":   "", // 1 is not in base32's alphabet
		"AKIA" + "XYZDQCEN4B6JSJQIA":  "",
		"AKIA":                        "",
		"":                            "",
		keyID("AKIA", "000000000007"): "000000000007",
		keyID("ASIA", "999999999999"): "999999999999",
	} {
		got, ok := AccountOf(id)
		if got != want || ok != (want != "") {
			t.Errorf("AccountOf(%q) = %q, %v; want %q", id, got, ok, want)
		}
	}
}

func FuzzAccountOf(f *testing.F) {
	f.Add("AKIA" + "XYZDQCEN4B6JSJQI")
	f.Add("AKIA" + "Z7777777========")
	f.Add("AKIA" + "XYZDQCEN\nB6JSJQI")
	f.Fuzz(func(t *testing.T, id string) {
		if a, ok := AccountOf(id); ok && !accountShape().MatchString(a) {
			t.Errorf("%q gives %q", id, a)
		}
	})
}

func TestOffline(t *testing.T) {
	own := keyID("AKIA", account)
	planted := keyID("AKIA", account)
	for name, c := range map[string]struct {
		id     string
		kind   string
		canary bool
	}{
		"long-term":        {own, "long-term", false},
		"temporary":        {keyID("ASIA", account), "temporary", false},
		"bearer token":     {keyID("ABIA", account), "service bearer token", false},
		"role":             {keyID("AROA", account), "role id", false},
		"public canary":    {"AKIA" + "XYZDQCEN4B6JSJQI", "long-term", true},
		"canary session":   {keyID("ASIA", "992382622183"), "temporary", true},
		"canary account":   {keyID("AKIA", "123456789012"), "long-term", true},
		"planted key":      {planted, "long-term", true},
		"nothing like one": {"hello", "unknown", false},
	} {
		for _, mode := range []Mode{Offline, Owner, Live} {
			t.Run(name+" "+string(mode), func(t *testing.T) {
				w := newWorld(t, awstest.Account{}, func(o *Options) {
					o.Mode, o.CanaryAccounts, o.CanaryKeys = mode, []string{"123456789012"}, []string{planted}
				})
				s := audit.NewSecret(audit.KindAWSKey, c.id, value())
				if mode == Live && !c.canary {
					s = audit.NewSecret(audit.KindAWSKey, c.id, "")
				}
				s.SetPart(audit.PartSessionToken, value())
				v := w.verify(t, s)
				want := audit.Unchecked
				if c.canary {
					want = audit.Canary
				}
				if v.Validity != want || v.How != "offline" || v.Facts["key_kind"] != c.kind || v.CheckedAt.IsZero() {
					t.Errorf("got %+v", v)
				}
				if asked := mode == Owner && !c.canary && c.kind != "unknown" && c.kind != "role id" && c.kind != "service bearer token"; asked && v.Facts["owner"] == "" {
					t.Errorf("owner: %q", v.Facts["owner"])
				}
				if got := w.server.Actions(); len(got) > 0 {
					t.Errorf("called %v", got)
				}
				if len(w.calls.Snapshot()) > 0 {
					t.Errorf("counted %v", w.calls.Snapshot())
				}
			})
		}
	}
}

func TestNotCalled(t *testing.T) {
	torn := audit.NewSecret(audit.KindAWSKey, keyID("ASIA", account), value())
	torn.SetPart(audit.PartSessionToken, "a\r\nX-Header: b")
	for name, c := range map[string]struct {
		secret   *audit.Secret
		accounts []string
		reason   string
	}{
		"header in token":   {torn, nil, "not one"},
		"id only":           {audit.NewSecret(audit.KindAWSKey, keyID("AKIA", account), ""), nil, "only the key id"},
		"no token":          {audit.NewSecret(audit.KindAWSKey, keyID("ASIA", account), value()), nil, "session token"},
		"role id":           {audit.NewSecret(audit.KindAWSKey, keyID("AROA", account), value()), nil, "not that of an access key"},
		"header in id":      {audit.NewSecret(audit.KindAWSKey, "AKIA"+"ABCDEFGHIJKL\r\nX: y", value()), nil, "malformed"},
		"foreign account":   {audit.NewSecret(audit.KindAWSKey, keyID("AKIA", "444455556666"), value()), []string{account}, "account 444455556666"},
		"account not shown": {audit.NewSecret(audit.KindAWSKey, "AKIA"+"IOSFODNN7EXAMPLE", value()), []string{account}, "does not tell its account"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, awstest.Account{}, func(o *Options) { o.Accounts = c.accounts })
			v := w.verify(t, c.secret)
			if v.Validity != audit.Unchecked || !strings.Contains(v.Facts["reason"], c.reason) || len(w.server.Requests()) > 0 {
				t.Errorf("got %+v after %v", v, w.server.Actions())
			}
		})
	}
}

// TestStates sets each of STS's answers against the verdict.
func TestStates(t *testing.T) {
	good := awstest.Key{Secret: value(), User: "ci"}
	session := awstest.Key{Secret: value(), Role: "deploy", Token: value()}
	a := func(k awstest.Key) awstest.Key { return k }
	inactive, gone := good, session
	inactive.Inactive, gone.Expired = true, true
	for name, c := range map[string]struct {
		prefix   string
		key      awstest.Key
		secret   string // "" for the right one
		token    string
		unknown  bool
		validity audit.Validity
		state    string
		code     string
		typ      string
	}{
		"active user":    {prefix: "AKIA", key: a(good), validity: audit.Active, state: "active", typ: "user"},
		"active session": {prefix: "ASIA", key: a(session), token: session.Token, validity: audit.Active, state: "active", typ: "role"},
		"root":           {prefix: "AKIA", key: awstest.Key{Secret: good.Secret, Root: true}, validity: audit.Active, state: "active", typ: "root"},
		"stray token":    {prefix: "AKIA", key: a(good), token: value(), validity: audit.Active, state: "active", typ: "user"},
		"wrong secret":   {prefix: "AKIA", key: a(good), secret: value(), validity: audit.Inactive, state: "wrong secret", code: "SignatureDoesNotMatch"},
		"deactivated":    {prefix: "AKIA", key: inactive, validity: audit.Inactive, state: "deactivated, deleted or never existed", code: "InvalidClientTokenId"},
		"unknown key":    {prefix: "AKIA", key: a(good), unknown: true, validity: audit.Inactive, state: "deactivated, deleted or never existed", code: "InvalidClientTokenId"},
		"expired":        {prefix: "ASIA", key: gone, token: session.Token, validity: audit.Inactive, state: "expired", code: "ExpiredToken"},
		"wrong token":    {prefix: "ASIA", key: a(session), token: value(), validity: audit.Inactive, state: "session token not accepted", code: "InvalidClientTokenId"},
	} {
		t.Run(name, func(t *testing.T) {
			id := keyID(c.prefix, account)
			keys := map[string]awstest.Key{id: c.key}
			if c.unknown {
				keys = nil
			}
			w := newWorld(t, awstest.Account{Keys: keys, Users: map[string]awstest.Entity{"ci": {}}, Roles: map[string]awstest.Entity{"deploy": {}}}, nil)
			secret := c.secret
			if secret == "" {
				secret = c.key.Secret
			}
			s := audit.NewSecret(audit.KindAWSKey, id, secret)
			if c.token != "" {
				s.SetPart(audit.PartSessionToken, c.token)
			}
			v := w.verify(t, s)
			if v.Validity != c.validity || v.Facts["state"] != c.state || v.Facts["sts_error"] != c.code || v.How != "live" || v.Error != "" {
				t.Errorf("got %+v", v)
			}
			if c.typ != "" && (v.Identity.Type != c.typ || v.Identity.Account != account) {
				t.Errorf("identity %+v", v.Identity)
			}
			if c.validity != audit.Active && (v.Reach != nil || len(w.server.Requests()) != 1) {
				t.Errorf("asked %v, reach %v", w.server.Actions(), v.Reach)
			}
			for _, r := range w.server.Requests() {
				if got := r.Header.Get("User-Agent"); got != agent {
					t.Errorf("%s signed off as %q", r.Action, got)
				}
				if r.Region != "us-east-1" {
					t.Errorf("%s signed for %q", r.Action, r.Region)
				}
			}
			if calls := w.calls.Snapshot(); calls["sts"]+calls["iam"]+calls["organizations"] != len(w.server.Requests()) {
				t.Errorf("counted %v for %v", calls, w.server.Actions())
			}
		})
	}
}

// TestAnswers sets what a server may do instead of answering against the verdict.
func TestAnswers(t *testing.T) {
	page := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	fail := func(status int, code, message string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { awstest.Error(w, status, code, message) }
	}
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer other.Close()
	redirect := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1), status)
		}
	}
	for name, c := range map[string]struct {
		answer   http.HandlerFunc
		validity audit.Validity
		state    string
		reason   string
		asked    int
	}{
		"throttled":          {fail(400, "Throttling", "Rate exceeded"), audit.Unknown, "throttled", "Throttling", maxAttempts},
		"503":                {fail(503, "ServiceUnavailable", "later"), audit.Unknown, "server error", "ServiceUnavailable", maxAttempts},
		"500 HTML":           {page(500, "<html>oops</html>"), audit.Unknown, "server error", "HTTP 500", maxAttempts},
		"429 HTML":           {page(429, "<html>slow</html>"), audit.Unknown, "throttled", "HTTP 429", maxAttempts},
		"200 HTML":           {page(200, "<html><p>log in</p></html>"), audit.Unknown, "answer not understood", "HTTP 200", 1},
		"200 not XML":        {page(200, "log in"), audit.Unknown, "answer not understood", "", 1},
		"200 empty":          {page(200, ""), audit.Unknown, "answer not understood", "", 1},
		"200 JSON":           {page(200, `{"Account":"1"}`), audit.Unknown, "answer not understood", "", 1},
		"403 HTML":           {page(403, "<html>forbidden</html>"), audit.Unknown, "answer not understood", "HTTP 403", 1},
		"giant":              {page(200, "<GetCallerIdentityResponse>"+strings.Repeat("<a>b</a>", 5<<20)), audit.Unknown, "answer not understood", "longer than 32 MiB", 1},
		"giant error":        {page(403, strings.Repeat(" ", 33<<20)), audit.Unknown, "answer not understood", "longer than 32 MiB", 1},
		"clock":              {fail(403, "SignatureDoesNotMatch", "Signature expired: 20200101T000000Z is now earlier than …"), audit.Unknown, "clock", "clock", 1},
		"access denied":      {fail(403, "AccessDenied", "not authorized"), audit.Active, "active", "refuses only the question", 1},
		"strange code":       {fail(400, "Strange\x1b[31mCode", "x"), audit.Unknown, "answer not understood", "HTTP 400", 1},
		"unusual code":       {fail(400, "ValidationError", "x"), audit.Unknown, "answer not understood", "ValidationError", 1},
		"malformed ARN":      {page(200, "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/\x1b[2J</Arn><Account>x</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"), audit.Unknown, "answer not understood", "", 1},
		"connection cut":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, audit.Unknown, "no answer", "no answer", maxAttempts},
		"redirect":           {redirect(http.StatusFound), audit.Unknown, "no answer", "redirect to localhost", 1},
		"redirect with body": {redirect(http.StatusTemporaryRedirect), audit.Unknown, "no answer", "redirect to localhost", 1},
	} {
		t.Run(name, func(t *testing.T) {
			id := keyID("AKIA", account)
			w := newWorld(t, awstest.Account{}, nil)
			w.server.Intercept = func(rw http.ResponseWriter, r *http.Request, action string, _ int) bool {
				if action != "GetCallerIdentity" {
					return false
				}
				c.answer(rw, r)
				return true
			}
			v := w.verify(t, audit.NewSecret(audit.KindAWSKey, id, value()))
			if v.Validity != c.validity || c.state != "" && v.Facts["state"] != c.state || !strings.Contains(v.Facts["reason"], c.reason) {
				t.Errorf("got %+v", v)
			}
			if (v.Error != "") != (c.validity == audit.Unknown) {
				t.Errorf("error %q", v.Error)
			}
			if strings.ContainsAny(fmt.Sprint(v), "\x1b\n") {
				t.Errorf("verdict holds control characters: %q", fmt.Sprint(v))
			}
			asked := 0
			for _, a := range w.server.Actions() {
				if a == "GetCallerIdentity" {
					asked++
				}
			}
			if asked != c.asked {
				t.Errorf("asked %d times, want %d", asked, c.asked)
			}
		})
	}
}

// TestBodyOutlivesTheSDKs sets against the transport what the SDK does: it closes a body that net/http has not let go of.
func TestBodyOutlivesTheSDKs(t *testing.T) {
	var sent io.Reader
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		sent = r.Body
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
	})}
	inner := newTransport(audit.Env{HTTP: client, UserAgent: agent, Calls: &audit.Calls{}}, "sts")
	body := closable{strings.NewReader("Action=GetCallerIdentity")}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://sts.example.com", body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := inner.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_ = req.Body.Close()
	if got, err := io.ReadAll(sent); err != nil || string(got) != "Action=GetCallerIdentity" {
		t.Errorf("got %q, %v", got, err)
	}
}

// closable is a body that reads as empty once it is closed.
type closable struct{ *strings.Reader }

func (c closable) Close() error {
	c.Reset("")
	return nil
}

func TestCandidates(t *testing.T) {
	id := keyID("AKIA", account)
	right, wrong := value(), value()
	account := awstest.Account{Keys: map[string]awstest.Key{id: {Secret: right, User: "ci"}}, Users: map[string]awstest.Entity{"ci": {}}}
	secret := func(first string, candidates ...string) *audit.Secret {
		s := audit.NewSecret(audit.KindAWSKey, id, first)
		for _, c := range candidates {
			s.AddCandidate(audit.NewSecret("generic", "", c))
		}
		return s
	}
	many := make([]string, maxTries+3)
	for i := range many {
		many[i] = value()
	}
	for name, c := range map[string]struct {
		secret   *audit.Secret
		validity audit.Validity
		tries    int
		pauses   int
		chosen   string
	}{
		"first":             {secret(right, wrong), audit.Active, 1, 0, "1 of 2 found nearby"},
		"second":            {secret(wrong, right), audit.Active, 2, 1, "2 of 2 found nearby"},
		"only candidates":   {secret("", wrong, value(), right), audit.Active, 3, 2, "3 of 3 found nearby"},
		"same value twice":  {secret(wrong, wrong, right), audit.Active, 2, 1, "2 of 2 found nearby"},
		"none, paired":      {secret(wrong, value()), audit.Inactive, 2, 1, ""},
		"none, only nearby": {secret("", wrong, value()), audit.Unknown, 2, 1, ""},
		"too many":          {secret("", many...), audit.Unknown, maxTries, maxTries - 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, account, nil)
			v := w.verify(t, c.secret)
			tries, pauses := 0, 0
			for _, a := range w.server.Actions() {
				if a == "GetCallerIdentity" {
					tries++
				}
			}
			for _, d := range w.slept {
				if d > 5*time.Second {
					pauses++
				}
			}
			if v.Validity != c.validity || tries != c.tries || pauses != c.pauses || v.Facts["secret_chosen"] != c.chosen {
				t.Errorf("%d tries, pauses %v, got %+v", tries, w.slept, v)
			}
			if c.validity == audit.Active && c.secret.Reveal() != right {
				t.Error("the secret was not given the value that works")
			}
		})
	}
	t.Run("only after a mismatch", func(t *testing.T) {
		w := newWorld(t, account, nil)
		w.server.Intercept = func(rw http.ResponseWriter, _ *http.Request, _ string, _ int) bool {
			awstest.Error(rw, 403, "InvalidClientTokenId", "no")
			return true
		}
		if v := w.verify(t, secret(wrong, right)); v.Validity != audit.Inactive || len(w.server.Requests()) != 1 {
			t.Errorf("%v, got %+v", w.server.Actions(), v)
		}
	})
	t.Run("pause across secrets of one id", func(t *testing.T) {
		w := newWorld(t, account, nil)
		w.verify(t, secret(wrong))
		w.verify(t, secret(right))
		if len(w.slept) == 0 || w.slept[0] < 5*time.Second {
			t.Errorf("slept %v", w.slept)
		}
	})
}

// TestSignatureText makes sure that what STS says about a mismatch, the session token in it included, stays out of the verdict.
func TestSignatureText(t *testing.T) {
	id := keyID("ASIA", account)
	key := awstest.Key{Secret: value(), Token: value(), Role: "deploy"}
	w := newWorld(t, awstest.Account{Keys: map[string]awstest.Key{id: key}}, nil)
	var seen []byte
	w.server.Observe = func(_ awstest.Request, _ int, body []byte) { seen = body }
	s := audit.NewSecret(audit.KindAWSKey, id, value())
	s.SetPart(audit.PartSessionToken, key.Token)
	v := w.verify(t, s)
	if v.Facts["state"] != "wrong secret" || !strings.Contains(string(seen), "x-amz-security-token") {
		t.Errorf("got %+v after %s", v, seen)
	}
}

func TestOnlyReads(t *testing.T) {
	w := newWorld(t, awstest.Account{}, nil)
	at, err := w.where("")
	if err != nil {
		t.Fatal(err)
	}
	name := "x"
	creds := static(keyID("AKIA", account), value(), "")
	i, s := w.iam(at, creds), w.sts(at, creds)
	for op, call := range map[string]func() error{
		"CreateUser": func() error { _, err := i.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name}); return err },
		"CreateAccessKey": func() error {
			_, err := i.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &name})
			return err
		},
		"UpdateAccessKey": func() error {
			_, err := i.UpdateAccessKey(t.Context(), &iam.UpdateAccessKeyInput{AccessKeyId: &name, Status: "Inactive"})
			return err
		},
		"AssumeRole": func() error {
			_, err := s.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &name, RoleSessionName: &name})
			return err
		},
		"GetSessionToken": func() error { _, err := s.GetSessionToken(t.Context(), nil); return err },
		"GetFederationToken": func() error {
			_, err := s.GetFederationToken(t.Context(), &sts.GetFederationTokenInput{Name: &name})
			return err
		},
		"AssumeRoleWithWebIdentity": func() error {
			_, err := s.AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{RoleArn: &name, RoleSessionName: &name, WebIdentityToken: &name})
			return err
		},
	} {
		if err := call(); !errors.Is(err, errRefused) {
			t.Errorf("%s: %v", op, err)
		}
	}
	if got := w.server.Actions(); len(got) > 0 {
		t.Errorf("sent %v", got)
	}
	for _, op := range operations {
		if !slices.ContainsFunc([]string{"Get", "List", "Describe", "Simulate"}, func(verb string) bool { return strings.HasPrefix(op.name, verb) }) {
			t.Errorf("%s is not a read", op.name)
		}
	}
}

func TestHang(t *testing.T) {
	for _, hang := range []string{"GetCallerIdentity", "SimulatePrincipalPolicy"} {
		t.Run(hang, func(t *testing.T) {
			id := keyID("AKIA", account)
			key := awstest.Key{Secret: value(), User: "ci"}
			w := newWorld(t, awstest.Account{Keys: map[string]awstest.Key{id: key}, Users: map[string]awstest.Entity{"ci": {Attached: []string{admin}}},
				Policies: map[string]string{admin: `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`}},
				func(o *Options) { o.TimeLimit = 300 * time.Millisecond })
			w.server.Intercept = func(_ http.ResponseWriter, r *http.Request, action string, _ int) bool {
				if action == hang {
					<-r.Context().Done()
					return true
				}
				return false
			}
			v := w.verify(t, audit.NewSecret(audit.KindAWSKey, id, key.Secret))
			if hang == "GetCallerIdentity" {
				if v.Validity != audit.Unknown || !strings.Contains(v.Error, "time limit of 300ms") {
					t.Errorf("got %+v", v)
				}
				return
			}
			if v.Validity != audit.Active || v.Reach == nil || !slices.ContainsFunc(v.Reach.Limits, func(l string) bool { return strings.Contains(l, "time limit") }) {
				t.Errorf("got %+v, reach %+v", v, v.Reach)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		w := newWorld(t, awstest.Account{}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		w.server.Intercept = func(_ http.ResponseWriter, r *http.Request, _ string, _ int) bool {
			cancel()
			<-r.Context().Done()
			return true
		}
		if _, err := w.Verify(ctx, audit.NewSecret(audit.KindAWSKey, keyID("AKIA", account), value())); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestOneCallPerKey(t *testing.T) {
	id := keyID("AKIA", account)
	w := newWorld(t, awstest.Account{}, nil)
	flying := make(chan struct{}, 1)
	w.server.Intercept = func(rw http.ResponseWriter, _ *http.Request, _ string, _ int) bool {
		select {
		case flying <- struct{}{}:
			defer func() { <-flying }()
		default:
			t.Error("two calls at once for one key id")
		}
		time.Sleep(5 * time.Millisecond)
		awstest.Error(rw, 403, "InvalidClientTokenId", "no")
		return true
	}
	done := make(chan error)
	for range 8 {
		go func() {
			_, err := w.Verify(context.WithoutCancel(t.Context()), audit.NewSecret(audit.KindAWSKey, id, "x"))
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestWhere(t *testing.T) {
	for name, c := range map[string]struct {
		env    map[string]string
		opts   Options
		found  string
		region string
		iam    string
		sts    string
		usage  bool

		organizations string
		secrets       string
	}{
		"default":            {region: "us-east-1"},
		"found":              {found: "eu-west-1", region: "eu-west-1"},
		"found, opt-in":      {found: "ap-east-1", region: "us-east-1"},
		"found, China":       {found: "cn-northwest-1", region: "cn-northwest-1"},
		"found, hostile":     {found: "evil.example/#", region: "us-east-1"},
		"environment":        {env: map[string]string{"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "eu-west-2"}, region: "eu-north-1"},
		"found over env":     {env: map[string]string{"AWS_REGION": "eu-north-1"}, found: "eu-west-1", region: "eu-west-1"},
		"option":             {opts: Options{Region: "eu-central-1"}, found: "eu-west-1", region: "eu-central-1"},
		"bad option":         {opts: Options{Region: "a b"}, usage: true},
		"endpoint":           {env: map[string]string{"AWS_ENDPOINT_URL": "http://a:1"}, found: "eu-west-1", region: "us-east-1", iam: "http://a:1", sts: "http://a:1", organizations: "http://a:1", secrets: "http://a:1"},
		"endpoint, service":  {env: map[string]string{"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_IAM": "http://b:1"}, region: "us-east-1", iam: "http://b:1", sts: "http://a:1", organizations: "http://a:1", secrets: "http://a:1"},
		"endpoint, secrets":  {env: map[string]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://b:1"}, region: "us-east-1", secrets: "http://b:1"},
		"endpoint, ignored":  {env: map[string]string{"AWS_ENDPOINT_URL": "http://a:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, region: "us-east-1"},
		"endpoint, option":   {env: map[string]string{"AWS_ENDPOINT_URL": "http://a:1"}, opts: Options{Endpoint: "http://c:1"}, region: "us-east-1", iam: "http://c:1", sts: "http://c:1", organizations: "http://c:1", secrets: "http://c:1"},
		"endpoint, not http": {env: map[string]string{"AWS_ENDPOINT_URL": "file:///etc"}, usage: true},
		"endpoint, secret":   {env: map[string]string{"AWS_ENDPOINT_URL": "http://user:" + "word@a:1"}, usage: true},
	} {
		t.Run(name, func(t *testing.T) {
			v := New(audit.Env{Getenv: func(k string) string { return c.env[k] }}, c.opts)
			got, err := v.where(c.found)
			if c.usage {
				if !errors.Is(err, audit.ErrUsage) || strings.Contains(err.Error(), "word") {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if err != nil || got.region != c.region || got.endpoints["sts"] != c.sts || got.endpoints["iam"] != c.iam || got.endpoints["organizations"] != c.organizations || got.endpoints["secretsmanager"] != c.secrets {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestHosts looks at where Amazon's own servers are taken to be, and that only the program's HTTP client is used.
func TestHosts(t *testing.T) {
	for region, want := range map[string][]string{
		"":               {"https://sts.us-east-1.amazonaws.com/", "https://iam.amazonaws.com/ us-east-1"},
		"eu-west-1":      {"https://sts.eu-west-1.amazonaws.com/", "https://iam.amazonaws.com/ us-east-1"},
		"cn-northwest-1": {"https://sts.cn-northwest-1.amazonaws.com.cn/", "https://iam.cn-north-1.amazonaws.com.cn/ cn-north-1"},
		"us-gov-east-1":  {"https://sts.us-gov-east-1.amazonaws.com/", "https://iam.us-gov.amazonaws.com/ us-gov-west-1"},
	} {
		var got []string
		v := New(audit.Env{Getenv: func(string) string { return "" }, UserAgent: agent, Calls: &audit.Calls{}, Now: time.Now,
			HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				at := r.URL.String()
				if scope := strings.Split(r.Header.Get("Authorization"), "/"); strings.Contains(at, "//iam.") {
					at += " " + scope[2]
				}
				got = append(got, at)
				return nil, errors.New("no network here")
			})},
		}, Options{Mode: Live})
		v.backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		at, err := v.where(region)
		if err != nil {
			t.Fatal(err)
		}
		creds := static(keyID("AKIA", account), value(), "")
		if _, err := v.sts(at, creds).GetCallerIdentity(t.Context(), nil); err == nil {
			t.Error("no error")
		}
		if _, err := v.iam(at, creds).GetUser(t.Context(), nil); err == nil {
			t.Error("no error")
		}
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", region, got, want)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestRegionOfChoice has a server that knows one region only, as servers of choice do.
func TestRegionOfChoice(t *testing.T) {
	id := keyID("AKIA", account)
	key := awstest.Key{Secret: value(), User: "ci"}
	w := newWorld(t, awstest.Account{Keys: map[string]awstest.Key{id: key}, Users: map[string]awstest.Entity{"ci": {}}}, nil)
	w.env["AWS_REGION"] = "eu-west-1"
	w.server.Intercept = func(rw http.ResponseWriter, r *http.Request, action string, n int) bool {
		if strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/") {
			awstest.Error(rw, 403, "SignatureDoesNotMatch", "Credential should be scoped to a valid region. ")
			return true
		}
		return false
	}
	if v := w.verify(t, audit.NewSecret(audit.KindAWSKey, id, key.Secret)); v.Validity != audit.Active {
		t.Errorf("got %+v", v)
	}
}

func TestContract(t *testing.T) {
	long, session := keyID("AKIA", account), keyID("ASIA", account)
	keys := map[string]awstest.Key{long: {Secret: value(), User: "ci"}, session: {Secret: value(), Token: value(), Role: "deploy"}}
	w := newWorld(t, awstest.Account{Keys: keys, Users: map[string]awstest.Entity{"ci": {}}, Roles: map[string]awstest.Entity{"deploy": {}}}, nil)
	good := audit.NewSecret(audit.KindAWSKey, session, keys[session].Secret)
	good.SetPart(audit.PartSessionToken, keys[session].Token)
	audittest.Verifier(t, w, []*audit.Secret{
		audit.NewSecret(audit.KindAWSKey, long, keys[long].Secret),
		audit.NewSecret(audit.KindAWSKey, long, value()),
		audit.NewSecret(audit.KindAWSKey, long, ""),
		good,
	})
}

func TestEvents(t *testing.T) {
	events := func(m Mode, region string) (list []string) {
		v := New(audit.Env{Getenv: func(string) string { return "" }, UserAgent: agent}, Options{Mode: m, Region: region})
		for _, e := range v.Events() {
			list = append(list, e.String())
		}
		return list
	}
	if got := events(Offline, ""); len(got) > 0 {
		t.Errorf("offline causes %v", got)
	}
	has := func(list []string, want string) bool { return slices.Contains(list, want) }
	owner, live := events(Owner, "eu-west-1"), events(Live, "eu-west-1")
	byAuditor := "iam.amazonaws.com GetAccessKeyLastUsed in us-east-1 as " + agent + ": the auditor's account, by the auditor, for each key"
	byKey := "sts.amazonaws.com GetCallerIdentity in eu-west-1 as " + agent + ": the key's account, by the key, for each key"
	if !has(owner, byAuditor) || has(owner, byKey) || !has(live, byAuditor) || !has(live, byKey) {
		t.Errorf("owner causes %q\nlive causes %q", owner, live)
	}
}
