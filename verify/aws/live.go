package aws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/verify/internal/ask"
)

const (
	// between is the pause before another secret is tried on the same key id: within about 5 s STS answers
	// SignatureDoesNotMatch to the second whether or not it is the right one.
	between = 5500 * time.Millisecond
	// maxTries bounds how many secrets are tried on one key id.
	maxTries = 10
)

// live uses the key: first to ask who it is, then for what its identity may do.
func (v *Verifier) live(parent context.Context, s *audit.Secret, verdict audit.Verdict) (audit.Verdict, error) {
	at, err := v.where(s.RevealPart(audit.PartRegion))
	if err != nil {
		return audit.Verdict{}, err
	}
	turn, err := v.take(parent, s.ID)
	if err != nil {
		return audit.Verdict{}, err
	}
	defer turn.release()
	ctx, cancel := context.WithTimeout(parent, v.opts.TimeLimit)
	defer cancel()

	redact := audit.Redactor([]*audit.Secret{s}) // before s may be given another value
	owner := verdict
	verdict.How = string(Live)
	verdict.Facts["region"] = at.region
	answer := v.settle(ctx, turn, at, s, &verdict)
	if parent.Err() != nil {
		return audit.Verdict{}, parent.Err()
	}
	verdict.Validity = answer.validity
	verdict.Facts["state"] = answer.state
	if answer.code != "" {
		verdict.Facts["sts_error"] = answer.code
	}
	if answer.reason != "" {
		verdict.Facts["reason"] = redact(answer.reason)
	}
	switch answer.validity {
	case audit.Active:
		verdict.Error = ""
		v.scope(ctx, at, s, answer, &verdict)
		if parent.Err() != nil {
			return audit.Verdict{}, parent.Err()
		}
	case audit.Unknown:
		verdict.Error = redact(answer.reason)
		if owner.Validity == audit.Active { // its account knows it; whether the secret is its own is what is not known
			verdict.Validity, verdict.How = owner.Validity, owner.How
		}
	default:
		verdict.Reach = nil
	}
	scrub(&verdict, redact)
	return verdict, nil
}

// settle asks STS with each secret that may belong to the key id, best first, until one is not refused for its signature.
func (v *Verifier) settle(ctx context.Context, turn *turn, at where, s *audit.Secret, verdict *audit.Verdict) answer {
	tries := distinct(s)
	left := 0
	if len(tries) > maxTries {
		left = len(tries) - maxTries
		tries = tries[:maxTries]
	}
	token := ""
	if kind, _ := keyKind(s.ID); kind == temporary { // a long-term key signed with a token is refused
		token = s.RevealPart(audit.PartSessionToken)
	}
	var last answer
	for i, try := range tries {
		if !turn.tried.IsZero() {
			if wait := between - v.env.Now().Sub(turn.tried); wait > 0 {
				if v.opts.Sleep(ctx, min(wait, between)) != nil {
					return v.late(fmt.Sprintf("after %d of %d secrets", i, len(tries)))
				}
			}
		}
		last = v.ask(ctx, at, s.ID, try.Reveal(), token)
		turn.tried = time.Time{}
		if last.state != wrongSecret {
			if len(tries) > 1 && last.validity == audit.Active {
				verdict.Facts["secret_chosen"] = fmt.Sprintf("%d of %d found nearby", i+1, len(tries))
			}
			if last.validity == audit.Active && try != s {
				s.Complete(try)
			}
			return last
		}
		turn.tried = v.env.Now()
	}
	switch {
	case left > 0:
		last.validity = audit.Unknown
		last.reason = fmt.Sprintf("the first %d of %d strings found nearby are not the secret of this key id; the rest was not tried", maxTries, maxTries+left)
	case !s.HasValue():
		// Strings nearby were guesses: the key itself may well work.
		last.validity = audit.Unknown
		last.reason = fmt.Sprintf("STS knows the key id, but none of the %d strings found nearby is its secret (SignatureDoesNotMatch)", len(tries))
	case len(tries) > 1:
		last.reason = fmt.Sprintf("none of the %d secrets found nearby fits this key id (SignatureDoesNotMatch)", len(tries))
	}
	return last
}

// distinct lists the secret and its candidates, each value once.
func distinct(s *audit.Secret) []*audit.Secret {
	var list []*audit.Secret
	if s.HasValue() {
		list = append(list, s)
	}
next:
	for _, c := range s.Candidates() {
		if !c.HasValue() {
			continue
		}
		for _, have := range list {
			if have.SameValue(c) {
				continue next
			}
		}
		list = append(list, c)
	}
	return list
}

// The states of a key, as far as STS tells them apart; they appear in the fact state.
const (
	working       = "active"
	wrongSecret   = "wrong secret"
	notAccepted   = "deactivated, deleted or never existed"
	badToken      = "session token not accepted"
	expired       = "expired"
	unanswered    = "no answer"
	throttled     = "throttled"
	serverError   = "server error"
	notUnderstood = "answer not understood"
	clockOff      = "clock"
)

// An answer is what one question to STS came to.
type answer struct {
	validity audit.Validity
	state    string
	reason   string
	code     string // STS's error code
	arn      string
	account  string
	userID   string
}

func (v *Verifier) late(doing string) answer {
	return answer{validity: audit.Unknown, state: unanswered,
		reason: fmt.Sprintf("time limit of %s per key reached %s", v.opts.TimeLimit, doing)}
}

// ask sends GetCallerIdentity, which needs no permission and which no policy can deny.
func (v *Verifier) ask(ctx context.Context, at where, id, secret, token string) answer {
	creds := static(id, secret, token)
	out, err := v.sts(at, creds).GetCallerIdentity(ctx, nil)
	if err != nil && at.endpoints["sts"] != "" && wrongRegion(err) && at.region != "us-east-1" {
		// A server of choice, and those of one region are the rule there: the request said where it wants to be.
		at.region = "us-east-1"
		out, err = v.sts(at, creds).GetCallerIdentity(ctx, nil)
	}
	if err != nil {
		if ctx.Err() != nil {
			return v.late("waiting for STS")
		}
		return classify(err, token != "")
	}
	return identify(out)
}

var (
	arnShape     = lazyregexp.New(`^arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:[!-~]+$`)
	accountShape = lazyregexp.New(`^[0-9]{12}$`)
)

// maxARN is above every length IAM's quotas add up to.
const maxARN = 1024

func isARN(s string) bool { return len(s) <= maxARN && arnShape().MatchString(s) }

func identify(out *sts.GetCallerIdentityOutput) answer {
	a := answer{validity: audit.Active, state: working, arn: text(out.Arn), account: text(out.Account), userID: text(out.UserId)}
	if !isARN(a.arn) || !accountShape().MatchString(a.account) {
		return answer{validity: audit.Unknown, state: notUnderstood, reason: "the answer names no identity; is the endpoint an STS?"}
	}
	return a
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func wrongRegion(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && strings.Contains(api.ErrorMessage(), "Credential should be scoped to a")
}

// classify reads STS's refusal. Error texts are looked at but never repeated: that of a signature mismatch may hold the
// request's canonical form, session token included.
func classify(err error, withToken bool) answer {
	unknown := func(state, reason string) answer {
		return answer{validity: audit.Unknown, state: state, reason: reason, code: codeOf(err)}
	}
	inactive := func(state, reason string) answer {
		return answer{validity: audit.Inactive, state: state, reason: reason, code: codeOf(err)}
	}
	code, status := codeOf(err), statusOf(err)
	switch code {
	case "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure":
		if withToken {
			return inactive(badToken, "STS does not accept key id and session token ("+code+"): expired, revoked, or not belonging together; it does not tell these apart")
		}
		return inactive(notAccepted, "STS does not accept the key id ("+code+"): deactivated, deleted, never existed, or of another partition; it does not tell these apart")
	case "InvalidToken", "InvalidIdentityToken", "MalformedToken":
		return inactive(badToken, "STS does not accept the session token ("+code+")")
	case "SignatureDoesNotMatch", "InvalidSignatureException":
		switch message := strings.ToLower(messageOf(err)); {
		case strings.Contains(message, "signature expired"), strings.Contains(message, "not yet current"):
			return unknown(clockOff, "STS finds the request's time wrong: the clock of this machine is off")
		case wrongRegion(err):
			return unknown(notUnderstood, "STS does not accept the region the request is signed for")
		}
		return inactive(wrongSecret, "STS knows the key id but the secret is not its own ("+code+")")
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
		return inactive(expired, "the session token has expired ("+code+")")
	case "RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture":
		return unknown(clockOff, "STS finds the request's time wrong ("+code+"): the clock of this machine is off")
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation":
		return answer{validity: audit.Active, state: working, code: code,
			reason: "STS knows the key and refuses only the question (" + code + "): signature and key were accepted"}
	}
	if isThrottle(code, status) {
		return unknown(throttled, "STS asks for fewer requests ("+orStatus(code, status)+"), also after retries")
	}
	if status >= 500 {
		return unknown(serverError, "STS fails ("+orStatus(code, status)+"), also after retries")
	}
	if code != "" {
		return unknown(notUnderstood, "STS answers with an error that tells nothing about the key ("+code+")")
	}
	if status != 0 {
		state := notUnderstood
		return unknown(state, fmt.Sprintf("the answer is not one of STS (HTTP %d)%s", status, onTheWay(err)))
	}
	return unknown(unanswered, "no answer from STS"+onTheWay(err))
}

func isThrottle(code string, status int) bool {
	switch code {
	case "Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded", "RequestThrottled",
		"RequestThrottledException", "TooManyRequestsException", "SlowDown", "BandwidthLimitExceeded":
		return true
	}
	return status == http.StatusTooManyRequests
}

func orStatus(code string, status int) string {
	if code != "" {
		return code
	}
	return fmt.Sprintf("HTTP %d", status)
}

var codeShape = lazyregexp.New(`^[A-Za-z0-9.:_-]{1,64}$`)

// codeOf is the error code of an answer in AWS's form, or "".
func codeOf(err error) string {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorCode() == "UnknownError" || !codeShape().MatchString(api.ErrorCode()) {
		return ""
	}
	return api.ErrorCode()
}

func messageOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorMessage()
	}
	return ""
}

func statusOf(err error) int {
	if resp, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return resp.HTTPStatusCode()
	}
	return 0
}

// onTheWay says what went wrong on the way, from errors whose text holds nothing that was sent.
func onTheWay(err error) string {
	if where, ok := errors.AsType[redirected](err); ok {
		return ": " + where.Error()
	}
	if errors.Is(err, errTooLong) {
		return ": " + errTooLong.Error()
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return ": " + oneLine(dns.Error())
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return ": " + oneLine(op.Error())
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		if u.Timeout() {
			return fmt.Sprintf(": none within %s", ask.AttemptLimit)
		}
		return ": " + oneLine(u.Err.Error())
	}
	return ""
}

// oneLine makes a foreign text fit for a report.
func oneLine(s string) string { return fit(s, 200) }

// fit replaces what a terminal might obey, and cuts after most characters.
func fit(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}

// scrub is the last net over what the account's own texts brought into the verdict.
func scrub(v *audit.Verdict, redact func(string) string) {
	for k, s := range v.Facts {
		v.Facts[k] = redact(s)
	}
	v.Error = redact(v.Error)
	if v.Reach == nil {
		return
	}
	for i, s := range v.Reach.Limits {
		v.Reach.Limits[i] = redact(s)
	}
	for _, p := range v.Reach.Paths {
		for i, s := range p.Steps {
			p.Steps[i] = audit.Step{From: redact(s.From), To: redact(s.To), Edge: redact(s.Edge), Evidence: redact(s.Evidence)}
		}
	}
}
