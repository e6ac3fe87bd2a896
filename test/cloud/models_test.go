package cloud

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	_ "github.com/aws/aws-sdk-go/aws/awserr" //nolint:staticcheck // not used: keeps the module, whose API models are read below, in go.mod

	"github.com/leakreach/leakreach/verify/aws/awstest"
)

// A model is Amazon's description of one API, of the query protocol or the JSON protocol.
type model struct {
	Metadata   struct{ APIVersion, XMLNamespace, TargetPrefix, Protocol string }
	Operations map[string]operation
	Shapes     map[string]shape
}

type operation struct {
	HTTP   struct{ Method, RequestURI string }
	Input  *shapeRef
	Output *struct{ Shape, ResultWrapper string }
	Errors []shapeRef
}

type shapeRef struct{ Shape, Location, LocationName string }

type shape struct {
	Type     string
	Required []string
	Members  map[string]shapeRef
	Member   *shapeRef
	Key      *shapeRef // of a map
	Value    *shapeRef
	Enum     []string
	Pattern  string
	Min, Max *float64
	Error    *struct{ Code string }
}

// loadModels reads the models of what the verifier asks from the module cache, by their versions.
func loadModels(t *testing.T) map[string]*model {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go").Output()
	if err != nil {
		t.Fatalf("finding github.com/aws/aws-sdk-go: %v", err)
	}
	models := map[string]*model{}
	for _, path := range []string{
		"sts/2011-06-15", "iam/2010-05-08", "organizations/2016-11-28", "account/2021-02-01", "s3/2006-03-01", "kms/2014-11-01", "lambda/2015-03-31", "secretsmanager/2017-10-17",
		"sqs/2012-11-05", "ecr/2015-09-21",
	} {
		content, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "models/apis", path, "api-2.json"))
		if err != nil {
			t.Fatal(err)
		}
		m := &model{}
		if err := json.Unmarshal(content, m); err != nil {
			t.Fatal(err)
		}
		models[m.Metadata.APIVersion] = m
		service, _, _ := strings.Cut(path, "/")
		models[service] = m
	}
	return models
}

// A judge holds every request to a fake, and its answer, against the models.
type judge struct {
	models map[string]*model

	mu       sync.Mutex
	problems []string
	seen     map[string]int // operation that was answered well
}

func newJudge(t *testing.T, s *awstest.Server) *judge {
	t.Helper()
	j := &judge{models: loadModels(t), seen: map[string]int{}}
	s.Observe = j.observe
	t.Cleanup(func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		for _, p := range j.problems {
			t.Error(p)
		}
	})
	return j
}

func (j *judge) observe(req awstest.Request, status int, body []byte) {
	problems := j.check(req, status, body)
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range problems {
		if p = req.Action + ": " + p; !slices.Contains(j.problems, p) {
			j.problems = append(j.problems, p)
		}
	}
	if status == 200 {
		j.seen[req.Action]++
	}
}

func (j *judge) check(req awstest.Request, status int, body []byte) []string {
	service, name, about := strings.Cut(req.Action, ":")
	if !about {
		service, name = "organizations", req.Action
	}
	m := j.models[service]
	if prefix, _, ok := strings.Cut(req.Header.Get("X-Amz-Target"), "."); ok {
		if prefix != m.Metadata.TargetPrefix {
			return []string{"the target is not one of " + service + ": " + prefix}
		}
		return m.checkJSON(name, req, status, body)
	}
	if about {
		return m.checkREST(name, req, status, body)
	}
	m = j.models[req.Params.Get("Version")]
	if m == nil {
		return []string{"no such API version " + req.Params.Get("Version")}
	}
	op, ok := m.Operations[req.Action]
	if !ok {
		return []string{"no such operation"}
	}
	c := &checker{model: m, params: req.Params, used: map[string]bool{"Action": true, "Version": true}}
	if op.Input != nil {
		c.request(op.Input.Shape, "")
	}
	for name := range req.Params {
		if !c.used[name] {
			c.fail("request holds %s, which the model does not know", name)
		}
	}
	root, err := readXML(body)
	switch {
	case err != nil:
		c.fail("answer: %v", err)
	case status == 200:
		c.element(root, req.Action+"Response", m.Metadata.XMLNamespace, op.Output.ResultWrapper, "ResponseMetadata")
		c.answer(op.Output.Shape, root.child(op.Output.ResultWrapper), op.Output.ResultWrapper)
		c.element(root.child("ResponseMetadata"), "ResponseMetadata", m.Metadata.XMLNamespace, "RequestId")
	default:
		c.element(root, "ErrorResponse", m.Metadata.XMLNamespace, "Error", "RequestId")
		c.element(root.child("Error"), "Error", m.Metadata.XMLNamespace, "Type", "Code", "Message")
		code := root.child("Error").child("Code").text
		known := slices.ContainsFunc(op.Errors, func(e shapeRef) bool {
			return m.Shapes[e.Shape].Error != nil && m.Shapes[e.Shape].Error.Code == code
		})
		// The rest are "Common Errors" of the API references.
		if !known && !slices.Contains([]string{"AccessDenied", "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", "Throttling", "InvalidAction"}, code) {
			c.fail("error %s is not one of the operation's", code)
		}
	}
	return c.problems
}

// checkJSON is check for the JSON protocol, see https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html.
func (m *model) checkJSON(name string, req awstest.Request, status int, body []byte) []string {
	op, ok := m.Operations[name]
	if !ok {
		return []string{"no such operation"}
	}
	c := &checker{model: m}
	var answer any
	if err := json.Unmarshal(body, &answer); err != nil {
		return []string{fmt.Sprintf("answer: %v", err)}
	}
	if op.Input != nil && m.Metadata.TargetPrefix != "" { // else it is in path and parameters
		input := map[string]any{}
		for name, value := range req.Input {
			input[name] = value
		}
		c.value(op.Input.Shape, input, "request")
	}
	if status == 200 {
		c.value(op.Output.Shape, answer, "answer")
		return c.problems
	}
	failure, _ := answer.(map[string]any)
	code, _ := failure["__type"].(string)
	if code != "AccessDeniedException" && !slices.ContainsFunc(op.Errors, func(e shapeRef) bool { return e.Shape == code }) {
		c.fail("error %s is not one of the operation's", code)
	}
	return c.problems
}

// checkREST is check for the protocols that say by method, path and parameters what they want, in JSON or XML.
func (m *model) checkREST(name string, req awstest.Request, status int, body []byte) []string {
	op, ok := m.Operations[name]
	if !ok {
		return []string{"no such operation"}
	}
	c := &checker{model: m}
	path, query, _ := strings.Cut(op.HTTP.RequestURI, "?")
	form := regexp.MustCompile("^" + strings.TrimSuffix(regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "[^/]+"), "/") + "/?$")
	if req.Method != op.HTTP.Method || !form.MatchString(req.URL.Path) {
		c.fail("%s %s is not like %s %s", req.Method, req.URL.Path, op.HTTP.Method, path)
	}
	for parameter := range req.URL.Query() {
		known := parameter == query || parameter == "x-id" || name == "ListBuckets" && slices.Contains([]string{"max-buckets", "continuation-token"}, parameter) // newer than the models
		if op.Input != nil {
			for _, ref := range m.Shapes[op.Input.Shape].Members {
				known = known || ref.Location == "querystring" && ref.LocationName == parameter
			}
		}
		if !known {
			c.fail("request has %s, which the model does not know", parameter)
		}
	}
	switch {
	case m.Metadata.Protocol == "rest-json":
		return append(c.problems, m.checkJSON(name, req, status, body)...)
	case name == "GetBucketPolicy" && status == 200: // the policy is all of the answer
		if !json.Valid(body) {
			c.fail("answer: no JSON")
		}
		return c.problems
	}
	root, err := readXML(body)
	switch {
	case err != nil:
		c.fail("answer: %v", err)
	case status == 200:
		c.answer(op.Output.Shape, root, root.name)
	default:
		c.element(root, "Error", "", "Code", "Message")
	}
	return c.problems
}

// value checks a JSON value against a shape.
func (c *checker) value(name string, v any, at string) {
	switch s := c.model.Shapes[name]; s.Type {
	case "structure":
		object, ok := v.(map[string]any)
		if !ok {
			c.fail("%s is no object", at)
		}
		for member, inner := range object {
			ref, ok := s.Members[member]
			if !ok {
				c.fail("%s holds %s, which the model does not know", at, member)
				continue
			}
			c.value(ref.Shape, inner, at+"."+member)
		}
		for _, member := range s.Required {
			if _, ok := object[member]; !ok {
				c.fail("%s lacks %s", at, member)
			}
		}
	case "map":
		entries, ok := v.(map[string]any)
		if !ok {
			c.fail("%s is no map", at)
		}
		for key, inner := range entries {
			c.scalar(c.model.Shapes[s.Key.Shape], key, at+" key")
			c.value(s.Value.Shape, inner, at+" value")
		}
	case "list":
		list, ok := v.([]any)
		if !ok {
			c.fail("%s is no list", at)
		}
		for _, inner := range list {
			c.value(s.Member.Shape, inner, at+"[]")
		}
		c.size(s, len(list), at)
	default:
		c.scalar(s, fmt.Sprint(v), at)
	}
}

type checker struct {
	model    *model
	params   url.Values
	used     map[string]bool
	problems []string
}

func (c *checker) fail(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// request checks the form parameters under a name against a shape.
func (c *checker) request(name, at string) {
	s := c.model.Shapes[name]
	switch s.Type {
	case "structure":
		for member, ref := range s.Members {
			inner := strings.TrimPrefix(at+"."+member, ".")
			if c.has(inner) {
				c.request(ref.Shape, inner)
			} else if slices.Contains(s.Required, member) {
				c.fail("request lacks %s", inner)
			}
		}
	case "list":
		n := 0
		for c.has(fmt.Sprintf("%s.member.%d", at, n+1)) {
			n++
			c.request(s.Member.Shape, fmt.Sprintf("%s.member.%d", at, n))
		}
		c.size(s, n, at)
	default:
		c.used[at] = true
		c.scalar(s, c.params.Get(at), at)
	}
}

func (c *checker) has(name string) bool {
	if c.params.Has(name) {
		return true
	}
	for k := range c.params {
		if strings.HasPrefix(k, name+".") {
			return true
		}
	}
	return false
}

// answer checks an element against a shape.
func (c *checker) answer(name string, n *node, at string) {
	s := c.model.Shapes[name]
	switch s.Type {
	case "structure":
		for _, child := range n.children {
			ref, ok := s.Members[child.name]
			if newer := c.model.Metadata.APIVersion == "2006-03-01" && slices.Contains([]string{"BucketRegion", "ContinuationToken"}, child.name); newer {
				continue // than the models, see the current SDK's types.Bucket and ListBucketsOutput
			}
			if !ok {
				c.fail("answer holds %s.%s, which the model does not know", at, child.name)
				continue
			}
			c.answer(ref.Shape, child, at+"."+child.name)
		}
		for _, member := range s.Required {
			if !n.holds(member) {
				c.fail("answer lacks %s.%s", at, member)
			}
		}
	case "list":
		for _, child := range n.children {
			if child.name != "member" && child.name != s.Member.LocationName {
				c.fail("answer holds %s.%s, where members are expected", at, child.name)
			}
			c.answer(s.Member.Shape, child, at+"."+child.name)
		}
		c.size(s, len(n.children), at)
	case "map":
		for _, child := range n.children {
			c.element(child, "entry", n.space, "key", "value")
			c.scalar(c.model.Shapes[s.Key.Shape], child.child("key").text, at+" key")
			c.answer(s.Value.Shape, child.child("value"), at+" value")
		}
	default:
		if len(n.children) > 0 {
			c.fail("answer holds elements in %s", at)
		}
		c.scalar(s, n.text, at)
	}
}

var escape = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)

func (c *checker) scalar(s shape, v, at string) {
	var err error
	switch s.Type {
	case "boolean":
		_, err = strconv.ParseBool(v)
	case "integer", "long":
		_, err = strconv.Atoi(v)
	case "timestamp":
		_, err = time.Parse(time.RFC3339, v)
	case "string":
		c.size(s, utf8.RuneCountInString(v), at)
		newer := v == "RESOURCE_CONTROL_POLICY" && slices.Contains(s.Enum, "SERVICE_CONTROL_POLICY") // than the models, see the current SDK's types.PolicyType
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) && !newer {
			c.fail("%s is %q, which is none of %v", at, v, s.Enum)
		}
		if s.Pattern != "" {
			var p *regexp.Regexp
			p, err = regexp.Compile(`^(?:` + escape.ReplaceAllString(s.Pattern, `\x{$1}`) + `)$`)
			if err == nil && !p.MatchString(v) {
				c.fail("%s is %q, which is not of the form %s", at, v, s.Pattern)
			}
		}
	default:
		c.fail("%s is of type %q, which this test cannot check", at, s.Type)
	}
	if err != nil {
		c.fail("%s: %v", at, err)
	}
}

func (c *checker) size(s shape, n int, at string) {
	if s.Min != nil && float64(n) < *s.Min || s.Max != nil && float64(n) > *s.Max {
		c.fail("%s has size %d", at, n)
	}
}

// element checks an element's name, namespace and children, in any order.
func (c *checker) element(n *node, name, space string, children ...string) {
	if n.name != name || n.space != space {
		c.fail("answer holds %s of %s in place of %s", n.name, n.space, name)
	}
	var have []string
	for _, child := range n.children {
		have = append(have, child.name)
	}
	slices.Sort(have)
	slices.Sort(children)
	if !slices.Equal(have, children) {
		c.fail("%s holds %v, not %v", name, have, children)
	}
}

type node struct {
	name, space, text string
	children          []*node
}

func (n *node) child(name string) *node {
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	return &node{}
}

func (n *node) holds(name string) bool {
	return slices.ContainsFunc(n.children, func(c *node) bool { return c.name == name })
}

func readXML(b []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	top := &node{}
	stack := []*node{top}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			if len(top.children) != 1 {
				return nil, errors.New("not one element")
			}
			return top.children[0], nil
		}
		if err != nil {
			return nil, err
		}
		last := stack[len(stack)-1]
		switch token := token.(type) {
		case xml.StartElement:
			n := &node{name: token.Name.Local, space: token.Name.Space}
			last.children = append(last.children, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			last.text += string(token)
		}
	}
}
