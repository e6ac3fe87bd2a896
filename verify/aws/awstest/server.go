// Package awstest is an STS, IAM and Organizations for tests, and what tells of the policies of resources: it checks signatures, enforces policies on its own calls,
// and answers SimulatePrincipalPolicy. [New] starts one for an [Account] or several; what a test wants to go wrong is said in [Server.Intercept].
//
// Its requests and answers are held against Amazon's API models by the tests in test/cloud. It has its own policy evaluator,
// so that it does not agree with the code under test by construction.
package awstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// An Account is what the server knows.
type Account struct {
	ID       string
	Keys     map[string]Key    // by key id
	Users    map[string]Entity // by name
	Roles    map[string]Entity
	Groups   map[string]Entity
	Policies map[string]string // managed policies: ARN to document
	SCPs     []string          // service control policies of one level; empty for none
	// Resources are policies of resources by their ARNs, of buckets, keys, functions, secrets, queues and repositories; "" is a resource without one.
	Resources map[string]string
	Regions   []string            // that are switched on
	Providers map[string][]string // of OpenID Connect, by their ARNs, with the audiences that they take
	// Organization that it is in, whose policies are told. Without one, those of SCPs are not.
	Organization *Organization
}

// A Key is an access key.
type Key struct {
	Secret   string
	Token    string // of a temporary key
	Inactive bool
	Expired  bool
	User     string // whose it is: a user's name, or
	Role     string // a role's name, or
	Root     bool   // the account's root
	Created  time.Time
	Used     time.Time // last; zero for never
}

// An Entity is a user, role or group.
type Entity struct {
	Path     string // "/" if empty
	Attached []string
	Inline   map[string]string
	Groups   []string // of a user
	Boundary string   // ARN
	Trust    string   // of a role; nobody if empty
	Session  int32    // seconds that sessions of a role may last; 0 is an hour
}

// A Request is one that reached the server.
type Request struct {
	Action string // of what is about resources, after the service: s3:ListBuckets
	Key    string // access key id
	Region string // signed for
	Method string
	URL    *url.URL
	Header http.Header
	Params url.Values        // of the query protocol
	Input  map[string]string // of the JSON protocol
}

// Server is a running fake. Its methods may be called from several goroutines.
type Server struct {
	*httptest.Server
	// Intercept, if set, is asked first; it answers a request itself by returning true. n counts the requests of that action, from 1.
	Intercept func(w http.ResponseWriter, r *http.Request, action string, n int) bool
	// Free has no policy keep anybody from asking.
	Free bool
	// PageSize bounds listings; 0 for no bound.
	PageSize int
	// Observe, if set, sees every request and the answer to it.
	Observe func(req Request, status int, body []byte)

	accounts []Account
	account  Account // of whoever asks, in what at returns
	mu       sync.Mutex
	requests []Request
	counts   map[string]int
}

// New starts a server for some accounts, which the caller closes. Who asks with an unknown key asks the first.
func New(accounts ...Account) *Server {
	s := &Server{accounts: accounts, counts: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

// Requests returns what has been asked so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Actions returns the names of the actions asked so far.
func (s *Server) Actions() []string {
	var names []string
	for _, r := range s.Requests() {
		names = append(names, r.Action)
	}
	return names
}

const (
	stsNS = "https://sts.amazonaws.com/doc/2011-06-15/"
	iamNS = "https://iam.amazonaws.com/doc/2010-05-08/"
)

// Error writes an error in the form of the query protocol, as IAM does.
func Error(w http.ResponseWriter, status int, code, message string) {
	writeError(w, iamNS, &failure{status, code, message})
}

func writeError(w http.ResponseWriter, ns string, f *failure) {
	kind := "Sender"
	if f.status >= 500 {
		kind = "Receiver"
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(f.status)
	_ = xml.NewEncoder(w).Encode(errorResponse{XMLNS: ns, Type: kind, Code: f.code, Message: f.message, RequestID: requestID})
}

type errorResponse struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	XMLNS     string   `xml:"xmlns,attr"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

const requestID = "01234567-89ab-cdef-0123-456789abcdef"

type failure struct {
	status        int
	code, message string
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	params, _ := url.ParseQuery(string(body))
	sig := signatureOf(r)
	req := Request{Action: params.Get("Action"), Key: sig.key, Region: sig.region, Method: r.Method, URL: r.URL, Header: r.Header.Clone(), Params: params}
	action, input, isJSON := isOrganizations(r, body)
	if isJSON {
		req.Action, req.Input = action, input
	}
	about, isCall := isCall(r, sig, body)
	if isCall {
		req.Action, req.Input = about.action, about.input
	}
	s.mu.Lock()
	s.requests = append(s.requests, req)
	s.counts[req.Action]++
	n := s.counts[req.Action]
	s.mu.Unlock()
	if s.Intercept != nil && s.Intercept(w, r, req.Action, n) {
		return
	}
	rec := httptest.NewRecorder()
	view := s.at(sig.key)
	key, f := view.admit(r, sig, body)
	switch {
	case f == nil && isCall && view.denies(key, about.right()):
		f = &failure{403, "AccessDeniedException", "User: " + view.callerARN(key) + " is not authorized to perform: " + about.right() + " because no identity-based policy allows the " + about.right() + " action"}
	case f == nil && isCall:
		var result any
		if result, f = view.answerCall(about); f == nil {
			writeCall(rec, about, result, nil)
		}
	case f == nil && isJSON && view.denies(key, "organizations:"+req.Action):
		f = &failure{400, "AccessDeniedException", "User: " + view.callerARN(key) + " is not authorized to perform: organizations:" + req.Action}
	case f == nil && isJSON:
		var result any
		if result, f = view.organizations(req); f == nil {
			writeJSON(rec, result, nil)
		}
	case f == nil:
		f = view.answer(rec, req, key, sig.key)
	}
	if f != nil {
		rec = httptest.NewRecorder()
		switch {
		case isCall:
			writeCall(rec, about, nil, f)
		case isJSON:
			writeJSON(rec, nil, f)
		case sig.service == "sts":
			writeError(rec, stsNS, f)
		default:
			writeError(rec, iamNS, f)
		}
	}
	if s.Observe != nil {
		s.Observe(req, rec.Code, rec.Body.Bytes())
	}
	w.Header().Set("Content-Type", "text/xml")
	if isJSON {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	}
	if isCall {
		maps.Copy(w.Header(), rec.Header())
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// admit is who asks, if key and signature are right.
func (s *Server) admit(r *http.Request, sig signature, body []byte) (Key, *failure) {
	key, known := s.account.Keys[sig.key]
	if !known || key.Inactive || key.Token != r.Header.Get("X-Amz-Security-Token") {
		return key, &failure{403, "InvalidClientTokenId", "The security token included in the request is invalid."}
	}
	if key.Expired {
		return key, &failure{403, "ExpiredToken", "The security token included in the request is expired"}
	}
	if canonical, ok := sig.check(r, body, key.Secret); !ok {
		return key, &failure{403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'" + canonical + "'\n"}
	}
	return key, nil
}

// answer is the rest of one request's way: whether the policies allow it, what.
func (s *Server) answer(w io.Writer, req Request, key Key, id string) *failure {
	if req.Action == "GetCallerIdentity" {
		return respond(w, stsNS, req.Action, callerIdentity{Arn: s.callerARN(key), UserID: "AIDAEXAMPLEEXAMPLE234", Account: s.account.ID})
	}
	if req.Action == "GetAccessKeyInfo" {
		return respond(w, stsNS, req.Action, struct{ Account string }{s.account.ID})
	}
	handler, ok := handlers[req.Action]
	if !ok {
		return &failure{400, "InvalidAction", "Could not find operation " + req.Action + " for version " + req.Params.Get("Version")}
	}
	if !key.Root && !s.Free {
		resource := s.resourceOf(req, key)
		if d := s.evaluate(s.sourceARN(key), "iam:"+req.Action, resource, nil); d.decision != allowed {
			why := "because no identity-based policy allows the iam:" + req.Action + " action"
			if d.decision == explicitDeny {
				why = "with an explicit deny in an identity-based policy"
			}
			return &failure{403, "AccessDenied", "User: " + s.callerARN(key) + " is not authorized to perform: iam:" + req.Action + " on resource: " + resource + " " + why}
		}
	}
	result, f := handler(s, req, key, id)
	if f != nil {
		return f
	}
	return respond(w, iamNS, req.Action, result)
}

func respond(w io.Writer, ns, action string, result any) *failure {
	enc := xml.NewEncoder(w)
	start := xml.StartElement{Name: xml.Name{Local: action + "Response"}, Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: ns}}}
	err := enc.EncodeToken(start)
	if err == nil {
		err = enc.EncodeElement(result, xml.StartElement{Name: xml.Name{Local: action + "Result"}})
	}
	if err == nil {
		err = enc.EncodeElement(struct {
			RequestID string `xml:"RequestId"`
		}{requestID}, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}})
	}
	if err == nil {
		err = enc.EncodeToken(start.End())
	}
	if err == nil {
		err = enc.Flush()
	}
	if err != nil {
		return &failure{500, "InternalFailure", err.Error()}
	}
	return nil
}

func (e Entity) trust() string {
	if e.Trust == "" {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}]}`
	}
	return e.Trust
}

func (e Entity) path() string {
	if e.Path == "" {
		return "/"
	}
	return e.Path
}

// ARN of an entity of the account; kind is user, role or group.
func (a Account) ARN(kind, name string) string {
	e := map[string]map[string]Entity{"user": a.Users, "role": a.Roles, "group": a.Groups}[kind][name]
	return "arn:aws:iam::" + a.ID + ":" + kind + e.path() + name
}

func (s *Server) callerARN(k Key) string {
	switch {
	case k.Root:
		return "arn:aws:iam::" + s.account.ID + ":root"
	case k.Role != "":
		return "arn:aws:sts::" + s.account.ID + ":assumed-role/" + k.Role + "/session"
	}
	return s.account.ARN("user", k.User)
}

// sourceARN is the identity whose policies count.
func (s *Server) sourceARN(k Key) string {
	if k.Role != "" {
		return s.account.ARN("role", k.Role)
	}
	return s.account.ARN("user", k.User)
}

func (s *Server) resourceOf(req Request, k Key) string {
	for kind, name := range map[string]string{"user": req.Params.Get("UserName"), "role": req.Params.Get("RoleName"), "group": req.Params.Get("GroupName")} {
		if name != "" {
			return s.account.ARN(kind, name)
		}
	}
	for _, name := range []string{"PolicyArn", "PolicySourceArn"} {
		if v := req.Params.Get(name); v != "" {
			return v
		}
	}
	return s.sourceARN(k)
}

// A signature is the Authorization header of Signature Version 4 ("Elements of an AWS API request signature", IAM User Guide).
type signature struct {
	key, date, region, service string
	headers                    []string
	hex                        string
}

func signatureOf(r *http.Request) (sig signature) {
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return sig
	}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			if f := strings.Split(value, "/"); len(f) == 5 {
				sig.key, sig.date, sig.region, sig.service = f[0], f[1], f[2], f[3]
			}
		case "SignedHeaders":
			sig.headers = strings.Split(value, ";")
		case "Signature":
			sig.hex = value
		}
	}
	return sig
}

func (sig signature) check(r *http.Request, body []byte, secret string) (canonical string, ok bool) {
	var headers strings.Builder
	for _, h := range sig.headers {
		v := strings.Join(r.Header.Values(h), ",")
		switch h {
		case "host":
			v = r.Host
		case "content-length":
			v = fmt.Sprint(r.ContentLength)
		}
		fmt.Fprintf(&headers, "%s:%s\n", h, strings.Join(strings.Fields(v), " "))
	}
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	digest := sha256.Sum256(body)
	canonical = strings.Join([]string{r.Method, path, r.URL.RawQuery, headers.String(), strings.Join(sig.headers, ";"), hex.EncodeToString(digest[:])}, "\n")
	scope := strings.Join([]string{sig.date, sig.region, sig.service, "aws4_request"}, "/")
	sum := sha256.Sum256([]byte(canonical))
	toSign := "AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	k := []byte("AWS4" + secret)
	for _, part := range []string{sig.date, sig.region, sig.service, "aws4_request", toSign} {
		m := hmac.New(sha256.New, k)
		m.Write([]byte(part))
		k = m.Sum(nil)
	}
	return canonical, hmac.Equal([]byte(hex.EncodeToString(k)), []byte(sig.hex))
}
