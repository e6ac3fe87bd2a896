package credfile

import (
	"github.com/leakreach/leakreach/internal/lazyregexp"
)

// matching reads a file by an expression: its first group is whom the credential belongs to, if that is told, the second the password.
func matching(expr string) func([]byte) []Credential {
	re := lazyregexp.New(expr)
	return func(t []byte) (found []Credential) {
		for _, m := range re().FindAllSubmatchIndex(t, maxFound) {
			c := Credential{Kind: "password", Value: string(t[m[4]:m[5]]), Start: m[4], End: m[5]}
			if m[2] >= 0 {
				c.ID = string(t[m[2]:m[3]])
			}
			if filledIn(c.Value) {
				found = append(found, c)
			}
		}
		return found
	}
}

// Files by which clients log in that have a syntax of their own.
var (
	// relays is Postfix's table of passwords (postmap(1), smtp_sasl_password_maps): destination, blanks, user:password.
	relays = matching(`(?m)^[^\s#]\S*[ \t]+([^\s:]+):(\S+)[ \t]*\r?$`)
	// smarthosts is exim4_passwd_client(5): host:user:password.
	smarthosts = matching(`(?m)^[^\s#:]+:([^\s:]+):(\S+)[ \t]*\r?$`)
	// dialIn is pppd(8)'s chap-secrets and pap-secrets: client, server, secret, addresses.
	dialIn = matching(`(?m)^[ \t]*"?([^\s"#]+)"?[ \t]+\S+[ \t]+"?([^\s"]+)"?`)
	// tunnels is the part of an OpenVPN profile that stands for the file of --auth-user-pass: user and password, a line each.
	tunnels = matching(`<auth-user-pass>[ \t]*\r?\n[ \t]*(\S+)[ \t]*\r?\n[ \t]*(\S+)`)
	// curlOptions is curl's file of options, with or without dashes: user = "name:password".
	curlOptions = matching(`(?m)^[ \t]*(?:(?:--)?(?:proxy-)?user|-[uU])\b[ \t]*[=:]?[ \t]*"?([^\s":=]+):([^\s"]+)`)
	// lftpCommands is lftp(1)'s way to open a site: open -u user,password site.
	lftpCommands = matching(`(?m)\b(?:open|lftp)\b[^\n]*?[ \t]-u[ \t]*"?([^\s,"]+),([^\s"]+)`)
	// shellLogin is how scripts of MongoDB's shell log in: db.auth("user", "password").
	shellLogin = matching(`\.auth\(\s*["']([^"'\n]+)["']\s*,\s*["']([^"'\n]+)["']`)
	// snmpUsers is snmpd.conf(5): createUser [-e engine] name protocol passphrase.
	snmpUsers = matching(`(?mi)^[ \t]*createUser[ \t]+(?:-e[ \t]+\S+[ \t]+)?"?([^\s"]+)"?[ \t]+\w+[ \t]+"?([^\s"]+)`)
	// cvsServers is the file that CVS keeps the passwords of its servers in, scrambled: /1 :pserver:user@host:/path A….
	cvsServers = matching(`(?m)()(?::pserver:[^@\s]+@\S+ A)(\S+)\r?$`)
	// tunnelSecrets is ipsec.secrets(5): whose, colon, kind, secret.
	tunnelSecrets = matching(`(?m)^[ \t]*([^#:"\n]*?)[ \t]*:[ \t]*(?:PSK|EAP|XAUTH|NTLM)[ \t]+"?([^"\s]+)`)
	// accessList is Redis's file of users: user NAME on … >PASSWORD.
	accessList = matching(`(?m)^[ \t]*user[ \t]+(\S+)[ \t].*?>(\S+)`)
	// balancer is what HAProxy lets users in by: user NAME insecure-password …, stats auth NAME:PASSWORD.
	balancer = matching(`(?m)^[ \t]*(?:user[ \t]+(\S+)[ \t]+insecure-password[ \t]+|stats[ \t]+auth[ \t]+[^:\s]+:)(\S+)`)
)
