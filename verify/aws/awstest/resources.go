package awstest

import (
	"encoding/json"
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// A call is one about resources: each service has a protocol of its own.
type call struct {
	action string            // such as s3:GetBucketPolicy
	input  map[string]string // where the call is in JSON
	region string
	name   string // of the resource, as the service takes it
	token  string // of a listing
}

// targets are the services of the JSON protocol, by the beginnings of their targets.
var targets = map[string]string{"TrentService": "kms", "secretsmanager": "secretsmanager", "AmazonSQS": "sqs", "AmazonEC2ContainerRegistry_V20150921": "ecr"}

// isCall tells whether a request is about resources, and reads it.
func isCall(r *http.Request, sig signature, body []byte) (c call, ok bool) {
	c = call{region: sig.region, input: map[string]string{}}
	var input map[string]any
	if json.Unmarshal(body, &input) == nil {
		for k, v := range input {
			if text, ok := v.(string); ok {
				c.input[k] = text
			}
		}
	}
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	target, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch service := targets[target]; {
	case service != "":
		c.action = service + ":" + operation
		for _, name := range []string{"KeyId", "SecretId", "QueueUrl", "repositoryName"} {
			c.name += c.input[name]
		}
		for _, name := range []string{"Marker", "NextToken", "nextToken"} {
			c.token += c.input[name]
		}
		c.name = c.name[strings.LastIndexAny(c.name, "/:")+1:]
	case sig.service == "account":
		c.action, c.token = "account:ListRegions", c.input["NextToken"]
	case sig.service == "s3" && r.URL.Path == "/":
		c.action, c.token = "s3:ListBuckets", r.URL.Query().Get("continuation-token")
	case sig.service == "s3":
		c.action, c.name = "s3:GetBucketPolicy", path[0]
	case sig.service == "lambda" && len(path) == 2:
		c.action, c.token = "lambda:ListFunctions", r.URL.Query().Get("Marker")
	case sig.service == "lambda":
		c.action, c.name = "lambda:GetPolicy", path[2]
	}
	return c, c.action != ""
}

// right is the action that policies allow for it.
func (c call) right() string {
	if c.action == "s3:ListBuckets" {
		return "s3:ListAllMyBuckets"
	}
	return c.action
}

// resources are the account's of a service and region, by their ARNs.
func (a Account) resources(service, region string) (arns []string) {
	for _, arn := range slices.Sorted(maps.Keys(a.Resources)) {
		if lies(arn, service, region) {
			arns = append(arns, arn)
		}
	}
	return arns
}

func lies(arn, service, region string) bool {
	parts := strings.SplitN(arn, ":", 6)
	return parts[2] == service && (parts[3] == region || parts[3] == "")
}

type object map[string]any

// answerCall answers a call, in JSON or as XML.
func (s *Server) answerCall(c call) (any, *failure) {
	service, operation, _ := strings.Cut(c.action, ":")
	if operation == "ListRegions" {
		all := []object{}
		for _, r := range s.account.Regions {
			all = append(all, object{"RegionName": r, "RegionOptStatus": "ENABLED_BY_DEFAULT"})
		}
		return object{"Regions": all}, nil
	}
	if strings.HasPrefix(operation, "List") || strings.HasPrefix(operation, "Describe") {
		return s.listCall(service, c)
	}
	doc, there := "", false
	for arn, policy := range s.account.Resources {
		if nameOf(arn) == c.name && lies(arn, service, c.region) {
			doc, there = policy, true
		}
	}
	switch service {
	case "s3":
		if !there {
			return nil, &failure{404, "NoSuchBucket", "The specified bucket does not exist"}
		}
		if doc == "" {
			return nil, &failure{404, "NoSuchBucketPolicy", "The bucket policy does not exist"}
		}
		return json.RawMessage(doc), nil
	case "kms":
		if !there {
			return nil, &failure{400, "NotFoundException", "Key does not exist"}
		}
		return object{"Policy": doc, "PolicyName": "default"}, nil
	case "lambda":
		if doc == "" {
			return nil, &failure{404, "ResourceNotFoundException", "The resource you requested does not exist."}
		}
		return object{"Policy": doc, "RevisionId": requestID}, nil
	case "secretsmanager":
		if !there {
			return nil, &failure{400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."}
		}
		out := object{"ARN": c.input["SecretId"], "Name": c.name}
		if doc != "" {
			out["ResourcePolicy"] = doc
		}
		return out, nil
	case "sqs":
		if !there {
			return nil, &failure{400, "QueueDoesNotExist", "The specified queue does not exist."}
		}
		if doc == "" {
			return object{}, nil
		}
		return object{"Attributes": object{"Policy": doc}}, nil
	}
	if doc == "" {
		return nil, &failure{400, "RepositoryPolicyNotFoundException", "Repository policy does not exist"}
	}
	return object{"repositoryName": c.name, "policyText": doc}, nil
}

// listCall lists the account's resources of a service, in pages.
func (s *Server) listCall(service string, c call) (any, *failure) {
	all := s.account.resources(service, c.region)
	from, _ := strconv.Atoi(c.token)
	all = all[min(from, len(all)):]
	next := ""
	if s.PageSize > 0 && len(all) > s.PageSize {
		all, next = all[:s.PageSize], strconv.Itoa(from+s.PageSize)
	}
	if service == "s3" {
		out := bucketList{Next: next}
		for _, arn := range all {
			out.Buckets = append(out.Buckets, bucketEntry{nameOf(arn), c.region})
		}
		return out, nil
	}
	list := []any{}
	for _, arn := range all {
		name := nameOf(arn)
		list = append(list, map[string]any{
			"kms":            object{"KeyArn": arn, "KeyId": name},
			"lambda":         object{"FunctionArn": arn, "FunctionName": name},
			"secretsmanager": object{"ARN": arn, "Name": name},
			"sqs":            "https://sqs." + c.region + ".amazonaws.com/" + s.account.ID + "/" + name,
			"ecr":            object{"repositoryArn": arn, "repositoryName": name},
		}[service])
	}
	field := map[string]string{"kms": "Keys", "lambda": "Functions", "secretsmanager": "SecretList", "sqs": "QueueUrls", "ecr": "repositories"}[service]
	out := object{field: list}
	if next != "" {
		out[map[string]string{"kms": "NextMarker", "lambda": "NextMarker", "secretsmanager": "NextToken", "sqs": "NextToken", "ecr": "nextToken"}[service]] = next
	}
	if service == "kms" {
		out["Truncated"] = next != ""
	}
	return out, nil
}

type bucketEntry struct{ Name, BucketRegion string }

type bucketList struct {
	XMLName xml.Name      `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
	Buckets []bucketEntry `xml:"Buckets>Bucket"`
	Next    string        `xml:"ContinuationToken,omitempty"`
}

// nameOf is the last part of an ARN.
func nameOf(arn string) string { return arn[strings.LastIndexAny(arn, ":/")+1:] }

// writeCall writes what a service about resources answers.
func writeCall(w http.ResponseWriter, c call, result any, f *failure) {
	if strings.HasPrefix(c.action, "s3:") {
		w.Header().Set("Content-Type", "application/xml")
		if f != nil {
			w.WriteHeader(f.status)
			result = struct {
				XMLName       xml.Name `xml:"Error"`
				Code, Message string
			}{Code: strings.TrimSuffix(f.code, "Exception"), Message: f.message}
		}
		if doc, ok := result.(json.RawMessage); ok {
			_, _ = w.Write(doc)
			return
		}
		_ = xml.NewEncoder(w).Encode(result)
		return
	}
	if f != nil {
		w.Header().Set("X-Amzn-Errortype", f.code) // where the protocol is REST
	}
	writeJSON(w, result, f)
}
