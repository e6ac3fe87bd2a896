package ask

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/leakreach/leakreach/audit"
)

// An Inquiry is what is being learnt about one token, by asking one issuer with it.
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
	a, err := q.Issuer.get(ctx, path, q.Header)
	if err != nil || !a.OK() || into == nil {
		return a, err
	}
	return a, a.decode(into)
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
		q.Verdict.Facts[name] = text
	}
}

// Limit adds what could not be learnt.
func (q *Inquiry) Limit(format string, args ...any) {
	q.Reach.Limits = append(q.Reach.Limits, fmt.Sprintf(format, args...))
}

// rank orders the levels that a token can have.
var rank = []audit.Level{audit.LevelUnknown, audit.LevelNone, audit.LevelRead, audit.LevelWrite, audit.LevelAdmin}

// Raise adds a path of one step, and makes its level the reach's if that is higher.
func (q *Inquiry) Raise(level audit.Level, from, to, evidence string) {
	if slices.Index(rank, level) > slices.Index(rank, q.Reach.Level) {
		q.Reach.Level = level
	}
	q.Reach.Paths = append(q.Reach.Paths, audit.Path{Level: level, Steps: []audit.Step{{From: from, To: to, Edge: "may", Evidence: evidence}}})
}

var errJSON = errors.New("its answer is not the JSON that was expected") // the decoder's own words may quote what it read
