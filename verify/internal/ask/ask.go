// Package ask puts questions about a found credential to the service that issued it.
//
// A question is one GET, to one host, or one POST where a service takes a reading question in no other way, such as what a token may do. No
// redirect is followed, since a credential is for one host only, and answers are bounded. What was sent lies in no error.
package ask

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
)

const (
	// maxAnswer bounds an answer's body. The longest are pages of a hundred repositories, 0.7 MB.
	maxAnswer = 4 << 20
	// AttemptLimit ends one request that gets no answer; two more fit into the time that a verifier has for a key.
	AttemptLimit = 20 * time.Second
	// attempts are made at most of one question, when the service is busy or away; maxWait is slept at most between two of them.
	attempts = 3
	maxWait  = 20 * time.Second
)

// An Issuer is a service that can say what a credential of its own is worth.
type Issuer struct {
	env   audit.Env
	api   string
	base  *url.URL
	http  *http.Client
	sleep func(context.Context, time.Duration) error
}

// NewIssuer makes an issuer of the API at an address, which needs https, or http on this machine. Requests are counted under api.
func NewIssuer(env audit.Env, api, address string) (*Issuer, error) {
	base, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("address of %s is not like https://HOST/PATH: %w", api, audit.ErrUsage)
	}
	if host := base.Hostname(); base.Scheme != "https" && (base.Scheme != "http" || host != "localhost" && host != "127.0.0.1" && host != "::1") {
		return nil, fmt.Errorf("address of %s: a found token is sent by https only: %w", api, audit.ErrUsage)
	}
	return &Issuer{env: env, api: api, base: base, http: Client(env), sleep: Sleep}, nil
}

// Client is the program's HTTP client for questions with a credential in them: it follows no redirect, since a credential is for one host only, keeps no
// cookies, and gives a request up after [AttemptLimit].
func Client(env audit.Env) *http.Client {
	client := http.Client{}
	if env.HTTP != nil {
		client = *env.HTTP
	}
	client.Jar = nil
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if client.Timeout <= 0 || client.Timeout > AttemptLimit {
		client.Timeout = AttemptLimit
	}
	return &client
}

// Host is who is asked.
func (i *Issuer) Host() string { return i.base.Host }

// An Answer is what the service said to one question.
type Answer struct {
	Status int
	Header http.Header
	body   []byte
}

// OK tells whether the question was answered, not refused.
func (a *Answer) OK() bool { return a.Status == http.StatusOK }

// Decode reads the JSON of an answer, such as a refusal's, into a value.
func (a *Answer) Decode(into any) error {
	if json.Unmarshal(a.body, into) != nil {
		return errJSON
	}
	return nil
}

// Says tells whether the answer's text has some words, whatever their case.
func (a *Answer) Says(words string) bool {
	return strings.Contains(strings.ToLower(string(a.body)), strings.ToLower(words))
}

// A question is a request to an issuer.
type question struct {
	method, path string
	header       http.Header // by which the service knows who asks
	body         []byte
}

// ask puts a question. An error means that there was no answer: the network's, or that of a service that was busy or broken each time.
func (i *Issuer) ask(ctx context.Context, q question) (*Answer, error) {
	for n := 1; ; n++ {
		answer, err := i.once(ctx, q)
		wait := time.Duration(n) * time.Second
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil && !busy(answer):
			return answer, nil
		case err == nil:
			err = fmt.Errorf("it answered %d", answer.Status)
			if s, bad := strconv.Atoi(answer.Header.Get("Retry-After")); bad == nil && s >= 0 {
				wait = time.Duration(min(s, 3600)) * time.Second
			}
		}
		if n == attempts || wait > maxWait {
			return nil, fmt.Errorf("asking %s: %w", i.base.Host, err)
		}
		if err := i.sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// busy tells whether a service said nothing about the token, but about itself.
func busy(a *Answer) bool {
	return a.Status == http.StatusTooManyRequests || a.Status >= 500 ||
		a.Status == http.StatusForbidden && (a.Header.Get("Retry-After") != "" || a.Header.Get("X-RateLimit-Remaining") == "0")
}

func (i *Issuer) once(ctx context.Context, q question) (*Answer, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, i.base.String()+q.path, bytes.NewReader(q.body))
	if err != nil {
		return nil, errors.New("what was to be asked for is no address") // which the error would quote
	}
	req.Header = q.header.Clone()
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", i.env.UserAgent)
	i.env.Calls.Add(i.api, 1)
	resp, err := i.http.Do(req)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err // without the address, which is said already
		}
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading its answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("its answer is longer than %d MiB", maxAnswer>>20)
	}
	return &Answer{Status: resp.StatusCode, Header: resp.Header, body: body}, nil
}

// Sendable tells whether a found text can be a token in a header: visible ASCII.
func Sendable(token string) bool {
	return token != "" && len(token) <= 4096 && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Sleep waits, or until the context ends, with its error.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
