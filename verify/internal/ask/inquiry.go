package ask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// A Service is who issues tokens, and can be asked about one with the token itself.
type Service struct {
	Env     audit.Env
	Name    string // requests are counted under it
	Address string // of its API
	Live    bool   // may be asked
}

// About asks about a token in a header, after a prefix, starting from what is known offline; see [Issuer.With]. It is not asked if it may not be,
// nor about what can be no token.
func (s Service) About(ctx context.Context, offline audit.Verdict, token, header, prefix string, questions func(context.Context, *Inquiry) error) (audit.Verdict, error) {
	switch {
	case !s.Live:
		return offline, nil
	case !Sendable(token):
		offline.Facts["reason"] = "not asked: what was found cannot be sent as a token"
		return offline, nil
	}
	issuer, err := NewIssuer(s.Env, s.Name, s.Address)
	if err != nil {
		return audit.Verdict{}, err
	}
	return issuer.With(ctx, offline, http.Header{header: {prefix + token}}, questions)
}

// An Inquiry is what is being learnt about one credential, by asking an issuer with it.
type Inquiry struct {
	Issuer  *Issuer
	Header  http.Header // by which the issuer knows who asks
	Verdict audit.Verdict
	Reach   *audit.Reach
}

// Offline is the verdict before anybody is asked.
func Offline(env audit.Env) audit.Verdict {
	return audit.Verdict{Validity: audit.Unchecked, How: "offline", CheckedAt: env.Now().UTC(), Facts: map[string]string{}}
}

// With asks an issuer, starting from what is known offline. questions sets the verdict's validity by the first answer; an error after
// that only limits what is said of the reach. The error of With is that of ctx.
func (i *Issuer) With(ctx context.Context, offline audit.Verdict, header http.Header, questions func(context.Context, *Inquiry) error) (audit.Verdict, error) {
	q := &Inquiry{Issuer: i, Header: header, Verdict: offline}
	q.Reach = &audit.Reach{Level: audit.LevelUnknown, Accounts: []string{}, Paths: []audit.Path{}, Limits: []string{}}
	q.Verdict.How, q.Verdict.Facts["host"] = "live", i.Host()
	err := questions(ctx, q)
	switch {
	case ctx.Err() != nil:
		return audit.Verdict{}, ctx.Err()
	case err != nil && q.Verdict.Validity == audit.Unchecked:
		q.Verdict.Validity, q.Verdict.Error = audit.Unknown, err.Error()
	case err != nil:
		q.Limit("%v", err)
	}
	if q.Verdict.Validity == audit.Active {
		q.Verdict.Reach = q.Reach
	}
	return q.Verdict, nil
}

// Get asks for a path and reads the JSON of the answer into a value. What is refused is told by the answer, and into stays as it was.
func (q *Inquiry) Get(ctx context.Context, path string, into any) (*Answer, error) {
	return q.read(ctx, question{http.MethodGet, path, q.Header, nil}, into)
}

// Post asks a path with a form, as Get does: for a token in exchange for a credential, see https://www.rfc-editor.org/rfc/rfc6749#section-4.4
func (q *Inquiry) Post(ctx context.Context, path string, form url.Values, into any) (*Answer, error) {
	return q.post(ctx, path, "application/x-www-form-urlencoded", []byte(form.Encode()), into)
}

// PostJSON asks a path with the JSON of a value, as Get does.
func (q *Inquiry) PostJSON(ctx context.Context, path string, body, into any) (*Answer, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("writing a question: %w", err)
	}
	return q.post(ctx, path, "application/json", b, into)
}

func (q *Inquiry) post(ctx context.Context, path, kind string, body []byte, into any) (*Answer, error) {
	header := http.Header{"Content-Type": {kind}}
	maps.Copy(header, q.Header)
	return q.read(ctx, question{http.MethodPost, path, header, body}, into)
}

func (q *Inquiry) read(ctx context.Context, what question, into any) (*Answer, error) {
	a, err := q.Issuer.ask(ctx, what)
	if err != nil || !a.OK() || into == nil {
		return a, err
	}
	return a, a.Decode(into)
}

// Active says that the token works.
func (q *Inquiry) Active() { q.Verdict.Validity = audit.Active }

// Inactive says that the token does not work.
func (q *Inquiry) Inactive(reason string) {
	q.Verdict.Validity, q.Verdict.Facts["reason"] = audit.Inactive, reason
}

// Unknown says that the answer does not tell.
func (q *Inquiry) Unknown(reason string) {
	q.Verdict.Validity, q.Verdict.Facts["reason"] = audit.Unknown, reason
}

// Unexpected says that an answer is none that the issuer's documentation has.
func (q *Inquiry) Unexpected(a *Answer) {
	q.Verdict.Validity, q.Verdict.Error = audit.Unknown, fmt.Sprintf("%s answered %d", q.Issuer.Host(), a.Status)
}

// Fact adds what was learnt, unless it is empty.
func (q *Inquiry) Fact(name, text string) {
	if text != "" {
		q.Verdict.Facts[name] = cut(text)
	}
}

// Limit adds what could not be learnt.
func (q *Inquiry) Limit(format string, args ...any) {
	switch text := cut(fmt.Sprintf(format, args...)); {
	case slices.Contains(q.Reach.Limits, text):
	case len(q.Reach.Limits) < most:
		q.Reach.Limits = append(q.Reach.Limits, text)
	default:
		q.Reach.Limits[most-1] = "there are more limits than are listed"
	}
}

// Bounds of what one credential's answers add to a report, which may be written by whoever planted it: ways and limits, and bytes of each text.
const (
	most    = 200
	maxText = 1000
)

func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

// Raise adds a path of one step, and makes its level the reach's if that is higher.
func (q *Inquiry) Raise(level audit.Level, from, to, evidence string) {
	if level.Rank() > q.Reach.Level.Rank() {
		q.Reach.Level = level
	}
	if to, evidence = cut(to), cut(evidence); len(q.Reach.Paths) == most {
		q.Limit("only the first %d ways are listed", most)
		return
	}
	q.Reach.Paths = append(q.Reach.Paths, audit.Path{Level: level, Steps: []audit.Step{{From: from, To: to, Edge: "may", Evidence: evidence}}})
}

var errJSON = errors.New("its answer is not the JSON that was expected") // the decoder's own words may quote what it read
