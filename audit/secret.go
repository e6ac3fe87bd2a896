package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Secret is a found credential. Its value is out of reach of every printing, logging and encoding function; only
// [Secret.Reveal] returns it, and only package verify calls that.
type Secret struct {
	Kind string // such as "aws-access-key"
	ID   string // its public half, such as an access key id; may be all that was found

	value       private
	parts       map[string]private
	candidates  []*Secret
	fingerprint string
	masked      string // of one whose value was left behind, see UnmarshalJSON
}

// private keeps a string behind a pointer: package fmt, which reads unexported fields past every method, prints an address.
type private struct{ p *string }

func hide(v string) private {
	if v == "" {
		return private{}
	}
	return private{&v}
}

func (p private) show() string {
	if p.p == nil {
		return ""
	}
	return *p.p
}

// Names of further parts of a credential.
const (
	PartSessionToken = "session_token"
	PartRegion       = "region"
	PartHost         = "host"   // and port, of the registry that takes a login
	PartKeyID        = "key_id" // of a Google Cloud service account's key
	PartTenant       = "tenant" // of Microsoft Entra ID that an application lives in: a GUID or a domain
)

// publicParts are no secrets.
var publicParts = []string{PartRegion, PartHost, PartKeyID, PartTenant}

// NewSecret makes a secret from what was found; id or value may be empty, not both.
func NewSecret(kind, id, value string) *Secret {
	return &Secret{Kind: kind, ID: id, value: hide(value)}
}

// SetPart adds a further part, such as a session token.
func (s *Secret) SetPart(name, value string) {
	if s.parts == nil {
		s.parts = map[string]private{}
	}
	s.parts[name] = hide(value)
}

// Copy is a secret that can be completed apart from s.
func (s *Secret) Copy() *Secret {
	c := *s
	c.parts, c.candidates = maps.Clone(s.parts), slices.Clone(s.candidates)
	return &c
}

// Complete gives a secret without a value the value of another: two halves become one credential.
func (s *Secret) Complete(half *Secret) { s.value = half.value }

// SetPartFrom makes the value of another secret a further part of this one.
func (s *Secret) SetPartFrom(name string, other *Secret) { s.SetPart(name, other.value.show()) }

// AddCandidate adds a secret whose value may be this one's, best first. [Secret.Candidates] hands them to a verifier that
// can settle the question.
func (s *Secret) AddCandidate(other *Secret) { s.candidates = append(s.candidates, other) }

// Details counts what is known of a secret beside its value: whose it is, and its further parts.
func (s *Secret) Details() int {
	if s.ID != "" {
		return len(s.parts) + 1
	}
	return len(s.parts)
}

// Addressed tells whether it is known who can be asked about a secret, and as whom, where its value does not say: the application and the tenant of a
// client secret, the user and the registry of a login.
func (s *Secret) Addressed() bool {
	return s.Kind != KindAzureSecret && s.Kind != KindRegistryLogin || s.Details() >= 2
}

// Public are the further parts that are no secrets, by their names.
func (s *Secret) Public() map[string]string {
	public := map[string]string{}
	for _, name := range publicParts {
		if p := s.parts[name]; p.p != nil {
			public[name] = p.show()
		}
	}
	return public
}

// Candidates are the other values that may belong to ID.
func (s *Secret) Candidates() []*Secret { return s.candidates }

// HasValue tells whether the private half is known.
func (s *Secret) HasValue() bool { return s.value.p != nil }

// SameValue tells whether two secrets have the same private half.
func (s *Secret) SameValue(o *Secret) bool { return s.value.show() == o.value.show() }

// Same tells whether two secrets are the same in every part, so that one can stand for the other. Those with candidates never are: which
// of them is right may be settled for one alone.
func (s *Secret) Same(o *Secret) bool {
	part := func(a, b private) bool { return a.show() == b.show() }
	return s.Kind == o.Kind && s.ID == o.ID && part(s.value, o.value) && maps.EqualFunc(s.parts, o.parts, part) &&
		s.fingerprint == o.fingerprint && s.masked == o.masked && len(s.candidates)+len(o.candidates) == 0
}

// Contains tells whether the private half of o is a part of that of s.
func (s *Secret) Contains(o *Secret) bool { return strings.Contains(s.value.show(), o.value.show()) }

// Reveal returns the private half. Only verifiers may call it.
func (s *Secret) Reveal() string { return s.value.show() }

// RevealPart returns a further part, or "". Only verifiers may call it.
func (s *Secret) RevealPart(name string) string { return s.parts[name].show() }

// Masked shows at most the first and last four characters of a value longer than 20, and nothing of a shorter one.
func (s Secret) Masked() string {
	if s.value.p == nil {
		return s.masked
	}
	return mask(s.value.show())
}

func mask(v string) string {
	if v == "" {
		return ""
	}
	n := utf8.RuneCountInString(v)
	if n <= 20 || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }) {
		return "…"
	}
	r := []rune(v)
	return string(r[:4]) + "…" + string(r[n-4:])
}

func (s Secret) String() string {
	return strings.TrimSpace(s.Kind + " " + s.ID)
}

// GoString redacts for %#v.
func (s Secret) GoString() string { return "audit.Secret(" + s.String() + ")" }

// Format redacts whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue redacts for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText redacts for encoders that know no better.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// publicSecret is what of a secret leaves the process.
type publicSecret struct {
	Kind        string `json:"kind"`
	ID          string `json:"id"`
	Masked      string `json:"masked"`
	Fingerprint string `json:"fingerprint"`
}

// MarshalJSON writes the public form.
func (s Secret) MarshalJSON() ([]byte, error) {
	return json.Marshal(publicSecret{s.Kind, s.ID, s.Masked(), s.fingerprint})
}

// UnmarshalJSON reads the public form: the secret of a stored run, whose value is not known.
func (s *Secret) UnmarshalJSON(b []byte) error {
	var p publicSecret
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	*s = Secret{Kind: p.Kind, ID: p.ID, masked: p.Masked, fingerprint: p.Fingerprint}
	return nil
}

// Fingerprint is the keyed digest that the engine set with [Key.Sign], or "".
func (s *Secret) Fingerprint() string { return s.fingerprint }

// A Key makes finding ids and fingerprints that nobody without it can test a guess against.
type Key [32]byte

// KeyFrom makes a key from a passphrase or the content of a key file.
func KeyFrom(b []byte) Key { return sha256.Sum256(append([]byte("leakreach key v1\x00"), b...)) }

// Digest is a keyed hash over parts, in hex (32 digits).
func (k Key) Digest(parts ...string) string {
	h := hmac.New(sha256.New, k[:])
	var room [256]byte // more than most parts need
	text := room[:0]
	for _, p := range parts {
		text = append(strconv.AppendInt(text, int64(len(p)), 10), ':')
		text = append(text, p...)
	}
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Sign sets and returns the secret's fingerprint: the same for the same id and value wherever they are found.
func (k Key) Sign(s *Secret) string {
	identity := s.value.show()
	if s.Kind == KindAWSKey && s.ID != "" {
		identity = s.ID // the id names the credential, whether or not its secret half was found beside it
	}
	s.fingerprint = k.Digest("secret", identity)
	return s.fingerprint
}

// Kinds of secrets that several packages know: those that take several parts, and what has no form of its own.
const (
	KindAWSKey        = "aws-access-key"          // ID is the access key id, the value its secret access key
	KindGCPKey        = "gcp-service-account-key" // ID is the service account's address, the value its private key in PEM, maybe with line ends as \n
	KindAzureSecret   = "azure-ad-client-secret"  //nolint:gosec // a name. ID is the application's client id
	KindRegistryLogin = "registry-login"          // of a container registry; ID is the user
	KindGiteaToken    = "gitea-token"             // of a server of Gitea or Forgejo
)

// Redactor returns a function that replaces every known value in a string by its mask: the last net before anything is
// printed, for values that also occur in paths, names and messages. What occurs there by chance is left alone: values shorter
// than six characters, and words of lower-case letters shorter than twelve, such as "config".
func Redactor(secrets []*Secret) func(string) string {
	var values []string
	add := func(v string) {
		word := !strings.ContainsFunc(v, func(r rune) bool { return r < 'a' || r > 'z' })
		if len(v) >= 12 || len(v) >= 6 && !word {
			values = append(values, v)
		}
	}
	for _, s := range secrets {
		add(s.value.show())
		for name, v := range s.parts {
			if !slices.Contains(publicParts, name) {
				add(v.show())
			}
		}
		for _, c := range s.candidates {
			add(c.value.show())
		}
	}
	if len(values) == 0 {
		return func(s string) string { return s }
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) }) // of two that start alike, the longer wins
	var pairs []string
	for _, v := range values {
		pairs = append(pairs, v, mask(v))
	}
	return strings.NewReplacer(pairs...).Replace
}

// ValueDigest is the keyed digest of the private half alone, or "" if it is not known.
func (k Key) ValueDigest(s *Secret) string { return k.private(s.value) }

// PartDigest is the keyed digest of a further part, or "" if it is not known. The same string has the same digest in either role.
func (k Key) PartDigest(s *Secret, name string) string { return k.private(s.parts[name]) }

func (k Key) private(p private) string {
	if p.p == nil {
		return ""
	}
	return k.Digest("value", p.show())
}
