// Package web opens what leakreach writes in a real browser.
package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	_ "github.com/leakreach/leakreach/internal/report" // what is built is of it: so a result is not one of before a change
)

// What others call their things, so that a page that takes it for anything but text shows it.
var hostile = []string{
	`<script>window.hit=1</script>`, `"><img src=https://example.com/x onerror=window.hit=1>`, `'onmouseover='window.hit=1`, `</style><style>@import url(https://example.com/x)</style>`,
	`</title><svg onload=window.hit=1>`, `javascript:window.hit=1`, `<a href="https://example.com/">x</a>`, `<meta http-equiv=refresh content="0;url=https://example.com/">`, `{{.Reach}}`, `<!--`, "\u202egpj",
}

// many is how many identities a large page has.
const many = 10_000

// TestReach: the page of reach asks nobody for anything, has no error, takes no name for code, and can be read by day and night, on a telephone and on paper, with 10,000 identities.
func TestReach(t *testing.T) {
	browser, program := start(t), built(t)
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	object := func(v any) []byte {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	type doc = map[string]any
	policy := func(name string, action any) doc {
		return doc{"PolicyName": name, "PolicyDocument": doc{"Version": "2012-10-17", "Statement": doc{"Sid": name, "Effect": "Allow", "Action": action, "Resource": "*"}}}
	}
	const user = "arn:aws:iam::111122223333:user/"
	var users, wide []doc
	for k, name := range hostile {
		action := []any{"*", []string{"iam:PutUserPolicy", "iam:AttachUserPolicy"}, "s3:GetObject"}[k%3]
		users = append(users, doc{"Arn": user + name, "UserPolicyList": []doc{policy(name, action)}})
	}
	for k := range many {
		action := []string{"s3:PutObject", "s3:GetObject", "iam:PutUserPolicy"}[k%3]
		wide = append(wide, doc{"Arn": fmt.Sprint(user, "user-", k), "UserPolicyList": []doc{policy("inline", action)}})
	}
	write("exports/111122223333.gaad.json", object(doc{"UserDetailList": users}))
	write("exports/organization.json", object(doc{"accounts": []doc{{"id": "111122223333", "name": strings.Join(hostile, " "), "management": true}}}))
	write("large/111122223333.gaad.json", object(doc{"UserDetailList": wide}))
	jobs := doc{}
	for k, name := range hostile {
		jobs[fmt.Sprint("job", k)] = doc{"name": name, "environment": name, "runs-on": []string{"self-hosted", name}, "if": name,
			"steps": []doc{{"uses": "acme/action@" + name}, {"run": name, "env": doc{"KEY": "${{ secrets.DEPLOY_KEY }}"}}}}
	}
	write("code/.github/workflows/x.yml", object(doc{"on": doc{"push": doc{"branches": hostile}}, "jobs": jobs}))
	store := filepath.Join(dir, "runs.db")
	command(t, program, "scan", "dir:"+filepath.Join(dir, "code"), "--store", store, "--verify", "off", "--fail-on", "none", "--quiet")

	pages := map[string][]string{
		"all":        {"--from", filepath.Join(dir, "exports")},
		"one":        {"--from", filepath.Join(dir, "exports"), user + hostile[1]},
		"large":      {"--from", filepath.Join(dir, "large")},
		"readers":    {"--store", store, "secret:DEPLOY_KEY"},
		"components": {"--store", store, "secrets", "components"},
	}
	for name, args := range pages {
		t.Run(name, func(t *testing.T) {
			content := command(t, program, append([]string{"reach", "--format", "html"}, args...)...)
			tab := browser.open(t, "file://"+write(name+".html", content))
			type seen struct {
				Hit                          bool
				Elements, Handlers, Sections int
				Text                         string
			}
			got := evaluate[seen](t, tab, `({hit: "hit" in window, elements: document.querySelectorAll("script, img, svg, iframe, link, a, object, embed, style ~ style").length,
				handlers: [...document.querySelectorAll("*")].filter(e => [...e.attributes].some(a => a.name.startsWith("on"))).length,
				sections: document.querySelectorAll("section").length, text: document.body.textContent.slice(0, 100000)})`)
			if got.Hit || got.Elements+got.Handlers > 0 {
				t.Errorf("a name has become more than text: %t, %d elements, %d handlers", got.Hit, got.Elements, got.Handlers)
			}
			if want := map[string]int{"large": many}[name]; got.Sections < want {
				t.Errorf("%d sections, want %d", got.Sections, want)
			}
			if want := map[string]string{"all": hostile[0], "one": hostile[1], "readers": hostile[0], "components": "acme/action"}[name]; !strings.Contains(got.Text, want) {
				t.Errorf("the page does not say %q", want)
			}
			for _, scheme := range []string{"light", "dark"} {
				call(t, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
				if pale := evaluate[[]string](t, tab, contrast); len(pale) > 0 {
					t.Errorf("%s: hard to read: %q", scheme, pale)
				}
			}
			tab.do(t, chromedp.EmulateViewport(400, 800))
			if wide := evaluate[int](t, tab, tooWide); wide > 0 {
				t.Errorf("%d pixels too wide for a telephone", wide)
			}
			tab.paper(t, name != "large")
			tab.quiet(t)
		})
	}
}

// contrast lists elements whose text has less than 4.5:1 against the page, the least that https://www.w3.org/TR/WCAG22/#contrast-minimum asks for.
const contrast = `(() => {
	const probe = document.body.appendChild(document.createElement("p"));
	const rgb = text => text.match(/[\d.]+/g).map(Number);
	const light = c => c.slice(0, 3).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
	probe.style.backgroundColor = "Canvas";
	const ground = rgb(getComputedStyle(probe).backgroundColor);
	probe.remove();
	const pale = new Set();
	for (const e of [...document.querySelectorAll("body *")].slice(0, 2000)) {
		const style = getComputedStyle(e), ink = rgb(style.color), opacity = Number(style.opacity);
		const a = light(ink.slice(0, 3).map((v, k) => v * opacity + ground[k] * (1 - opacity))), b = light(ground);
		if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5) pale.add(e.tagName + "." + e.className);
	}
	return [...pale];
})()`

// A chrome is a browser that reaches nobody.
type chrome struct{ context.Context }

// start starts a browser until the test ends.
func start(t *testing.T) chrome {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		missing(t, "chromium is not installed: apt-get install chromium")
	}
	ctx, stop := chromedp.NewExecAllocator(t.Context(), chromedp.Headless, chromedp.ExecPath(path), chromedp.NoSandbox, // as root there is none
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND"), chromedp.UserDataDir(t.TempDir()))
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal("starting chromium:", err)
	}
	return chrome{ctx}
}

// A tab is a page that is open, and what it did beside.
type tab struct {
	context.Context
	mu   sync.Mutex
	done []string
}

func (c chrome) open(t *testing.T, address string) *tab {
	t.Helper()
	ctx, stop := chromedp.NewContext(c)
	t.Cleanup(stop)
	tab := &tab{Context: ctx}
	err := chromedp.Listen(ctx, func(event any) {
		said := ""
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if e.Request.URL != address {
				said = "it asks " + e.Request.URL
			}
		case *runtime.EventConsoleAPICalled:
			said = fmt.Sprint("console ", e.Type)
		case *runtime.EventExceptionThrown:
			said = e.ExceptionDetails.Text
		case *log.EventEntryAdded:
			said = fmt.Sprint(e.Entry.Level, " ", e.Entry.Text)
		case *page.EventJavascriptDialogOpening:
			said = "dialogue " + e.Message
		case *page.EventFrameNavigated:
			if e.Frame.URL != address && e.Frame.URL != "about:blank" {
				said = "it goes to " + e.Frame.URL
			}
		}
		if said != "" {
			tab.mu.Lock()
			tab.done = append(tab.done, said)
			tab.mu.Unlock()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	call(t, tab, network.Enable, network.EnableParams{})
	call(t, tab, log.Enable, cdp.Empty{})
	tab.do(t, chromedp.Navigate(address))
	return tab
}

func (b *tab) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b, actions...); err != nil {
		t.Fatal(err)
	}
}

// call sends the browser a command.
func call[P, R any](t *testing.T, b *tab, command cdp.Command[P, R], params P) R {
	t.Helper()
	result, err := chromedp.Call(b, command, params)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// evaluate is the value of an expression in the page.
func evaluate[T any](t *testing.T, b *tab, expression string) T {
	t.Helper()
	value, err := chromedp.Run(b, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// quiet fails the test if the page did anything but show itself.
func (b *tab) quiet(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, said := range b.done {
		t.Error(said)
	}
}

// paper prints the page: what is folded on a screen is not on paper.
func (b *tab) paper(t *testing.T, print bool) {
	t.Helper()
	b.do(t, chromedp.EmulateViewport(700, 1000))
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	folded := evaluate[int](t, b, `[...document.querySelectorAll("details ol li")].filter(e => !e.checkVisibility()).length`)
	if wide := evaluate[int](t, b, tooWide); folded > 0 || wide > 0 {
		t.Errorf("on paper %d steps are folded, and %d pixels are cut off", folded, wide)
	}
	if print && !bytes.HasPrefix(call(t, b, page.PrintToPDF, page.PrintToPDFParams{}).Data, []byte("%PDF-")) {
		t.Error("what is printed is no PDF")
	}
}

// tooWide is how many pixels of the page are beside the window.
const tooWide = `document.documentElement.scrollWidth - innerWidth`

// missing skips a test, or fails it where everything must be there.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// built builds the program.
func built(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "leakreach")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/leakreach")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return program
}

// command is what the program prints.
func command(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("leakreach %q: %v\n%s", args, err, stderr.String())
	}
	return out
}
