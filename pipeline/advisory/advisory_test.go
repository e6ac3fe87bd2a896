package advisory

import (
	"strings"
	"testing"

	"github.com/leakreach/leakreach/pipeline"
)

func load(t testing.TB) *Feed {
	t.Helper()
	f, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func action(name, ref string) *pipeline.Component {
	c := &pipeline.Component{Kind: pipeline.Action, Name: name, Ref: ref, Pin: pipeline.Named}
	if len(ref) == 40 {
		c.Pin = pipeline.Commit
	}
	return c
}

func image(name, ref string) *pipeline.Component {
	c := &pipeline.Component{Kind: pipeline.Image, Name: name, Ref: ref, Pin: pipeline.Named}
	switch {
	case ref == "":
		c.Pin = pipeline.Unnamed
	case strings.HasPrefix(ref, "sha256:"):
		c.Pin = pipeline.Digest
	}
	return c
}

// TestEveryIdentity looks up each identity that a record has: the malicious ones are found under whatever name, the clean ones are not.
func TestEveryIdentity(t *testing.T) {
	f := load(t)
	malicious, clean := 0, 0
	for id := range f.malicious {
		malicious++
		if hits := f.Look(action("somebody/fork", strings.ToUpper(id)), nil); len(hits) != 1 || !hits[0].Malicious || hits[0].Advisory.ID == "" {
			t.Errorf("%s: %+v", id, hits)
		}
	}
	for name, ids := range f.clean {
		for id := range ids {
			clean++
			use := action(name, id)
			if rest, ok := strings.CutPrefix(name, "image:"); ok {
				use = image(rest, id)
			}
			for _, hit := range f.Look(use, nil) {
				if hit.Malicious || hit.Through == "" {
					t.Errorf("clean %s@%s: %+v", name, id, hit)
				}
			}
		}
	}
	// 75 + 7 of Trivy's actions, 1 of xygeni, 1 of tj-actions, 1 of reviewdog, and at least one of each other case.
	if malicious < 130 || clean < 100 {
		t.Errorf("%d malicious identities, %d clean ones", malicious, clean)
	}
}

func TestLook(t *testing.T) {
	f := load(t)
	latest := []pipeline.Setting{{Name: "version", Value: "latest"}}
	for _, c := range []struct {
		use  *pipeline.Component
		with []pipeline.Setting
		want string // "" for nothing, "bad" for malicious content, or else through what
	}{
		{action("aquasecurity/trivy-action", "0.28.0"), nil, "name"},
		{action("AquaSecurity/Trivy-Action", "0.0.1"), nil, "name"},
		{action("aquasecurity/trivy-action", "0.20.9"), nil, "name"}, // one tag of those that the advisory counts is not known by name
		{action("aquasecurity/trivy-action", "0.35.0"), nil, ""},
		{action("aquasecurity/trivy-action", "0.36.0"), nil, ""},
		{action("aquasecurity/trivy-action", "master"), nil, "name?"},
		{action("aquasecurity/trivy-action", "915b19bbe73b92a6cf82a1bc12b087c9a19a5fe2"), nil, "aquasecurity/setup-trivy@v0.2.1, which it calls"},
		{action("aquasecurity/trivy-action", "57a97c7e7821a5776cebc9bb87c984fa69cba8f1"), nil, ""},
		{action("aquasecurity/trivy-action", "57a97c7e7821a5776cebc9bb87c984fa69cba8f1"), latest, "aquasecurity/trivy, which version: latest has it fetch"},
		{action("aquasecurity/setup-trivy", "v0.2.6"), nil, "name"},
		{action("aquasecurity/setup-trivy", "v0.3.1"), []pipeline.Setting{{Name: "version", Value: "v0.70.0"}}, ""},
		{action("aquasecurity/setup-trivy", "e6c2c5e321ed9123bda567646e2f96565e34abe1"), []pipeline.Setting{{Name: "version", Value: "v0.70.0"}}, ""},
		{action("tj-actions/changed-files", "v44"), nil, "name"},
		{action("tj-actions/changed-files", "v45.0.7"), nil, "name"},
		{action("tj-actions/changed-files", "v46"), nil, ""},
		{action("tj-actions/changed-files", "v47.0.1"), nil, ""},
		{action("tj-actions/changed-files", "main"), nil, ""},
		{action("tj-actions/changed-files", "0e58ed8671d6b60d0890c21b07f8835ace038e67"), nil, "bad"},
		{action("tj-actions/branch-names", "v8"), nil, ""},
		{action("reviewdog/action-setup", "v1"), nil, "name"},
		{action("reviewdog/action-setup", "v1.3.2"), nil, ""},
		{action("reviewdog/action-shellcheck", "v1"), nil, "reviewdog/action-setup@v1, which it calls in some of its versions?"},
		{action("xygeni/xygeni-action", "v5"), nil, "name"},
		{action("xygeni/xygeni-action", "v6.4.0"), nil, ""},
		{action("actions-cool/issues-helper", "v3"), nil, "name"},
		{action("actions-cool/issues-helper", "200c78641dbf33838311e5a1e0c31bbdb92d7cf0"), nil, ""},
		{action("checkmarx/kics-github-action", "v1.7.0"), nil, "name"},
		{action("checkmarx/ast-github-action", "2.3.32"), nil, "name"},
		{action("checkmarx/ast-github-action", "2.3.33"), nil, ""},
		{action("checkmarx/ast-github-action", "2.3.35"), nil, "name"},
		{action("checkmarx/ast-github-action", "2.3.36"), nil, ""},
		{image("aquasec/trivy", "0.69.4"), nil, "name"},
		{image("aquasec/trivy", ""), nil, "name"},
		{image("ghcr.io/aquasecurity/trivy", "0.69.4"), nil, "name"},
		{image("docker.io/aquasec/trivy", "0.69.3"), nil, ""},
		{image("registry.example.com/aquasec/trivy", "0.69.4"), nil, ""},
		{image("mirror.example.com/trivy", "sha256:27f446230c60bbf0b70e008db798bd4f33b7826f9f76f756606f5417100beef3"), nil, "bad"},
		{image("trivy", "0.69.4"), nil, ""},
		{action("actions/checkout", "v4"), nil, ""},
	} {
		got := ""
		for _, hit := range f.Look(c.use, c.with) {
			switch {
			case hit.Malicious:
				got = "bad"
			case hit.Through != "":
				got = hit.Through
			default:
				got = "name"
			}
			if !hit.Certain {
				got += "?"
			}
			if !hit.Malicious && len(hit.Windows) == 0 {
				t.Errorf("%s@%s: no window", c.use.Name, c.use.Ref)
			}
			if hit.Advisory.Summary == "" || !strings.HasPrefix(hit.Advisory.URL, "https://") {
				t.Errorf("%+v", hit.Advisory)
			}
			if hit.Through == "" {
				break
			}
		}
		if got != c.want {
			t.Errorf("%s@%s %v: %q, want %q", c.use.Name, c.use.Ref, c.with, got, c.want)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		a, b string
		less bool
	}{{"v45", "46.0.1", true}, {"v46", "46.0.1", false}, {"v46.0.0", "46.0.1", true}, {"0.1-alpha", "2.3.33", true}, {"v", "1", false}, {"99999999999999999999", "1", false}} {
		if got := versionLess(c.a, c.b); got != c.less {
			t.Errorf("%s < %s: %t", c.a, c.b, got)
		}
	}
}
