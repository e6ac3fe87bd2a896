package forgetest

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestGraphQL(t *testing.T) {
	root := object{
		"__typename": "Query",
		"nodes": func(a args) any {
			return []object{{"__typename": "Repository", "id": a["ids"].([]any)[0], "secret": forbidden{}, "tags": connection([]object{{"name": "a"}, {"name": "b"}})}, nil}
		},
	}
	for _, test := range []struct{ name, query, want string }{
		{"fields, aliases and what may not be had", `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Repository { id other: secret { x } } ... on User { login } } }`,
			`{"data":{"nodes":[{"id":"R_1","other":null},null]},"errors":[` +
				`{"message":"Resource not accessible by personal access token","path":["nodes",0,"other"],"type":"FORBIDDEN"},` +
				`{"message":"Could not resolve to a node","path":["nodes",1],"type":"NOT_FOUND"}]}`},
		{"fragments, pages and directives", "# how many\n{ nodes(ids: [\"R_2\"]) { ...f } } fragment f on Repository { tags(first: 1) { totalCount pageInfo { hasNextPage } nodes { name @include(if: $yes), id: name @skip(if: $yes) } } }",
			`{"data":{"nodes":[{"tags":{"nodes":[{"name":"a"}],"pageInfo":{"hasNextPage":true},"totalCount":2}},null]},"errors":[{"message":"Could not resolve to a node","path":["nodes",1],"type":"NOT_FOUND"}]}`},
		{"a field that there is not", `{ nodes(ids: ["R_1"]) { ids } }`,
			`{"errors":[{"extensions":{"code":"undefinedField"},"message":"Field 'ids' doesn't exist on type 'Repository'","path":["nodes",0,"ids"]},{"message":"Could not resolve to a node","path":["nodes",1],"type":"NOT_FOUND"}]}`},
		{"no query", `{ nodes(`, `{"errors":[{"message":"syntax error at line 1: \"\""}]}`},
	} {
		got, err := json.Marshal(answer(test.query, map[string]any{"ids": []any{"R_1"}, "yes": true}, root))
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", test.name, err, got, test.want)
		}
	}
}

func FuzzGraphQL(f *testing.F) {
	f.Add(`query q($a: Int = 1) { a: nodes(ids: [1, {b: "c"}]) @skip(if: false) { ... on X { y } ...z } } fragment z on X { y }`)
	f.Fuzz(func(t *testing.T, query string) {
		if strings.Count(query, "fragment") > 0 {
			t.Skip("fragments may spread themselves, which those of our own queries do not")
		}
		answer(query, nil, object{"__typename": "Query"})
	})
}
