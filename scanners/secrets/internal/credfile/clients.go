package credfile

import "regexp"

// throughout reads a text by an expression: its first group is whom the credential belongs to, the second the password.
func throughout(expr string) func([]byte) []Credential {
	re := regexp.MustCompile(expr)
	return func(t []byte) (found []Credential) {
		for _, m := range re.FindAllSubmatchIndex(t, maxFound) {
			if v := string(t[m[4]:m[5]]); filledIn(v) {
				found = append(found, Credential{Kind: "password", ID: string(t[m[2]:m[3]]), Value: v, Start: m[4], End: m[5]})
			}
		}
		return found
	}
}

// Files by which clients log in that have a syntax of their own.
var (
	// smarthosts is exim4_passwd_client(5): host:user:password.
	smarthosts = throughout(`(?m)^[^\s#:]+:([^\s:]+):(\S+)[ \t]*\r?$`)
	// tunnels is the part of an OpenVPN profile that stands for the file of --auth-user-pass: user and password, a line each.
	tunnels = throughout(`<auth-user-pass>[ \t]*\r?\n[ \t]*(\S+)[ \t]*\r?\n[ \t]*(\S+)`)
	// lftpCommands is lftp(1)'s way to open a site: open -u user,password site.
	lftpCommands = throughout(`(?m)\b(?:open|lftp)\b[^\n]*?[ \t]-u[ \t]*"?([^\s,"]+),([^\s"]+)`)
	// shellLogin is how scripts of MongoDB's shell log in: db.auth("user", "password").
	shellLogin = throughout(`\.auth\(\s*["']([^"'\n]+)["']\s*,\s*["']([^"'\n]+)["']`)
	// snmpUsers is snmpd.conf(5): createUser [-e engine] name protocol passphrase.
	snmpUsers = throughout(`(?mi)^[ \t]*createUser[ \t]+(?:-e[ \t]+\S+[ \t]+)?"?([^\s"]+)"?[ \t]+\w+[ \t]+"?([^\s"]+)`)
)
