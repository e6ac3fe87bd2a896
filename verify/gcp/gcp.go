// Package gcp judges found keys of Google Cloud service accounts: whose a key is, whether it works, and what the account may do in its projects.
//
// Offline the key and the account's name are read. Live, Google is asked for a token in exchange for a statement signed with the key, see
// https://developers.google.com/identity/protocols/oauth2/service-account#httprest, and then, with that token, what it may do. Only Google's own
// hosts are asked, whatever address a key's file names, and the token is one for reading.
package gcp

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/verify/internal/ask"
)

const (
	tokens   = "https://oauth2.googleapis.com" //nolint:gosec // an address
	projects = "https://cloudresourcemanager.googleapis.com"
	scope    = "https://www.googleapis.com/auth/cloud-platform.read-only"
	// maxProjects are asked what the account may do there, its own first.
	maxProjects = 5
	// maxPEM bounds a key that is read, in bytes: Google makes RSA keys of 2048 bits, which take 1.7 kB.
	maxPEM = 8 << 10
)

// Verifier judges keys of service accounts. It is safe for concurrent use.
type Verifier struct {
	env  audit.Env
	live bool
}

// New makes a verifier, which asks Google if it is live.
func New(env audit.Env, live bool) *Verifier { return &Verifier{env: env, live: live} }

// Kinds implements [audit.Verifier].
func (v *Verifier) Kinds() []string { return []string{audit.KindGCPKey} }

// Verify implements [audit.Verifier].
func (v *Verifier) Verify(ctx context.Context, s *audit.Secret) (audit.Verdict, error) {
	verdict := ask.Offline(v.env)
	project := projectOf(s.ID)
	key := parse(s.Reveal())
	facts := verdict.Facts
	facts["service_account"] = s.ID
	if project != "" {
		facts["project"] = project
	}
	id := s.RevealPart(audit.PartKeyID)
	if id != "" {
		facts["key_id"] = id
	}
	switch {
	case project == "":
		facts["reason"] = "not asked: it is not a service account's name"
	case key == nil:
		facts["reason"] = "not asked: what was found is no RSA key as Google makes them"
	}
	if facts["reason"] != "" || !v.live {
		return verdict, nil
	}
	assertion, err := sign(key, s.ID, id, v.env.Now())
	if err != nil {
		return audit.Verdict{}, err
	}
	issuer, err := ask.NewIssuer(v.env, "google", tokens)
	if err != nil {
		return audit.Verdict{}, err
	}
	next, err := ask.NewIssuer(v.env, "google", projects)
	if err != nil {
		return audit.Verdict{}, err
	}
	return issuer.With(ctx, verdict, http.Header{}, func(ctx context.Context, q *ask.Inquiry) error {
		token, err := exchange(ctx, q, assertion)
		if err != nil || token == "" {
			return err
		}
		q.Issuer, q.Header = next, http.Header{"Authorization": {"Bearer " + token}}
		return reach(ctx, q, s.ID, project)
	})
}

// account splits a service account's name, see https://cloud.google.com/iam/docs/service-account-types
var account = lazyregexp.New(`^(?:[a-z0-9-]{1,63}@([a-z0-9-]{1,63})(?:\.([a-z0-9.-]{1,63}))?\.iam|([a-z0-9-]{1,63})@appspot|([0-9]{1,20})-compute@developer)\.gserviceaccount\.com$`)

// projectOf is the id or number of the project that an account lives in, or "". A project of a domain is called "example.com:project".
func projectOf(name string) string {
	m := account().FindStringSubmatch(name)
	if m == nil {
		return ""
	}
	if m[2] != "" {
		return m[2] + ":" + m[1]
	}
	return m[1] + m[3] + m[4]
}

var lineEnds = lazyregexp.New(`\\+n`)

// parse reads a private key in PEM, whose line ends may be written as in JSON; nil for what is none.
func parse(text string) *rsa.PrivateKey {
	if len(text) > maxPEM {
		return nil
	}
	block, _ := pem.Decode([]byte(lineEnds().ReplaceAllString(text, "\n")))
	if block == nil {
		return nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return sound(key)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil
	}
	private, _ := key.(*rsa.PrivateKey)
	return sound(private)
}

// sound is a key that can be signed with.
func sound(key *rsa.PrivateKey) *rsa.PrivateKey {
	if key == nil || key.N.BitLen() < 1024 || key.N.BitLen() > 4096 {
		return nil
	}
	return key
}

// sign states who asks for a token, good for five minutes, as a JSON Web Token (RFC 7515). It begins a minute ago: clocks differ.
func sign(key *rsa.PrivateKey, account, id string, now time.Time) (string, error) {
	header := map[string]string{"alg": "RS256", "typ": "JWT"}
	if id != "" {
		header["kid"] = id
	}
	claims := map[string]any{
		"iss": account, "scope": scope, "aud": tokens + "/token", "iat": now.Add(-time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	var parts []string
	for _, part := range []any{header, claims} {
		b, err := json.Marshal(part)
		if err != nil {
			return "", fmt.Errorf("writing a statement: %w", err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(b))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, ".")))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("signing a statement: %w", err)
	}
	return strings.Join(append(parts, base64.RawURLEncoding.EncodeToString(signature)), "."), nil
}

// exchange asks for a token, which is "" where there is none: the verdict says then whether the key works.
func exchange(ctx context.Context, q *ask.Inquiry, assertion string) (token string, err error) {
	var answer struct {
		Token string `json:"access_token"`
	}
	a, err := q.Post(ctx, "/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}, &answer)
	if err != nil {
		return "", err
	}
	switch {
	case a.OK() && ask.Sendable(answer.Token):
		q.Active()
		return answer.Token, nil
	case a.Status != http.StatusBadRequest && a.Status != http.StatusUnauthorized:
		q.Unexpected(a)
	case a.Says("invalid jwt signature"):
		q.Inactive("Google does not know the key as the account's: it was disabled or deleted, or never was")
	case a.Says("account not found"):
		q.Inactive("Google does not know the account: it was disabled or deleted, or never was")
	case a.Says("timeframe"):
		q.Unknown("this machine's clock differs from Google's")
	default:
		q.Unexpected(a)
	}
	return "", nil
}

// A sentinel is a permission that shows what an account can do at least.
type sentinel struct {
	level       audit.Level
	opens       string
	permissions []string
}

// sentinels are permissions of projects, see https://cloud.google.com/iam/docs/permissions-reference. To escalate is to act as another service
// account, by its keys, its signature or what runs as it.
var sentinels = []sentinel{
	{audit.LevelAdmin, "who may do what", []string{"resourcemanager.projects.setIamPolicy"}},
	{audit.LevelEscalation, "other service accounts", []string{
		"iam.serviceAccountKeys.create", "iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.signJwt", "iam.serviceAccounts.signBlob",
		"iam.serviceAccounts.implicitDelegation", "iam.serviceAccounts.setIamPolicy", "iam.roles.update", "deploymentmanager.deployments.create",
	}},
	{audit.LevelWrite, "code that runs", []string{
		"compute.instances.create", "compute.instances.setMetadata", "container.pods.create", "run.services.update", "cloudfunctions.functions.update",
		"cloudbuild.builds.create", "artifactregistry.repositories.uploadArtifacts",
	}},
	{audit.LevelWrite, "data", []string{
		"storage.objects.create", "storage.objects.delete", "bigquery.tables.updateData", "cloudsql.instances.update", "pubsub.topics.publish",
	}},
	{audit.LevelWrite, "secrets", []string{"secretmanager.versions.add"}},
	{audit.LevelWrite, "what is logged", []string{"logging.sinks.delete"}},
	{audit.LevelRead, "secrets", []string{"secretmanager.versions.access", "container.secrets.get", "cloudkms.cryptoKeyVersions.useToDecrypt"}},
	{audit.LevelRead, "data", []string{
		"storage.objects.get", "bigquery.tables.getData", "artifactregistry.repositories.downloadArtifacts", "logging.logEntries.list",
	}},
	{audit.LevelRead, "what there is", []string{"resourcemanager.projects.get", "compute.instances.list", "storage.buckets.list", "cloudsql.instances.list"}},
}

// reach asks which projects the account sees, and what it may do in them and in its own.
func reach(ctx context.Context, q *ask.Inquiry, account, own string) error {
	var seen struct {
		Projects []struct {
			ID string `json:"projectId"`
		}
		More string `json:"nextPageToken"`
	}
	a, err := q.Get(ctx, "/v1/projects?filter="+url.QueryEscape("lifecycleState:ACTIVE")+"&pageSize=100", &seen)
	if err != nil {
		return err
	}
	list := []string{own}
	for _, p := range seen.Projects {
		if p.ID != "" && !slices.Contains(list, p.ID) {
			list = append(list, p.ID)
		}
	}
	if a.OK() {
		text := fmt.Sprint(len(seen.Projects))
		if seen.More != "" {
			text = "at least " + text
		}
		q.Fact("projects_seen", text)
	} else {
		q.Limit("projects may not be listed with it (%d)", a.Status)
	}
	if len(list) > maxProjects {
		q.Limit("%d further projects that it sees were not asked about", len(list)-maxProjects)
	}
	q.Limit("what it was granted on single resources, folders and organisations was not asked: the level is a lower bound")
	for _, project := range list[:min(len(list), maxProjects)] {
		if err := permissions(ctx, q, account, project); err != nil {
			return err
		}
	}
	return nil
}

// permissions asks what an account may do in a project, see https://cloud.google.com/resource-manager/reference/rest/v1/projects/testIamPermissions
func permissions(ctx context.Context, q *ask.Inquiry, account, project string) error {
	var all []string
	for _, s := range sentinels {
		all = append(all, s.permissions...)
	}
	var granted struct{ Permissions []string }
	a, err := q.PostJSON(ctx, "/v1/projects/"+url.PathEscape(project)+":testIamPermissions", map[string][]string{"permissions": all}, &granted)
	if err != nil {
		return err
	}
	if !a.OK() {
		q.Limit("what it may do in project %s was not told (%d)", project, a.Status)
		return nil
	}
	for _, s := range sentinels {
		var have []string
		for _, p := range s.permissions {
			if slices.Contains(granted.Permissions, p) {
				have = append(have, p)
			}
		}
		if len(have) > 0 {
			q.Raise(s.level, account, "project "+project+": "+s.opens, strings.Join(have, ", "))
		}
	}
	return nil
}
