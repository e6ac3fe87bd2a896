package report

import (
	"crypto/sha256"
	_ "embed" // the page's template and style
	"encoding/base64"
	"html/template"
	"io"

	"github.com/leakreach/leakreach/audit"
)

//go:embed reach.html
var reachPage string

//go:embed reach.css
var reachStyle string

// writeReachHTML writes one page that needs nothing else: no script, no network, and a policy that allows neither.
func writeReachHTML(w io.Writer, r *Reach, _ Options) error {
	hash := sha256.Sum256([]byte(reachStyle))
	page, err := template.New("reach").Funcs(template.FuncMap{
		"clean": Clean, "kept": kept, "readers": readers, "readersTable": readersTable, "lossesTable": lossesTable, "losses": losses,
		"ways": ways,
		"fixes": func(w *Ways) (all []string) {
			w.fixes(func(what string) { all = append(all, Clean(what)) })
			return all
		},
		"endOf": func(w *Ways, p audit.Path) string {
			if w == nil {
				return string(p.Level)
			}
			return Clean(w.end(p))
		},
		"step": func(s audit.Step) []string {
			return []string{Clean(s.Edge), Clean(shortARN(s.To)), Clean(s.To), Clean(s.Evidence)}
		},
		"from": func(steps []audit.Step) string {
			if len(steps) == 0 {
				return ""
			}
			return Clean(shortARN(steps[0].From))
		},
	}).Parse(reachPage)
	if err != nil {
		return err
	}
	return page.Execute(w, map[string]any{
		"Reach": r, "Policy": "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; base-uri 'none'; form-action 'none'",
		"Style": template.CSS(reachStyle), //nolint:gosec // our own
	})
}
