package settings

import (
	"strings"

	"github.com/leakreach/leakreach/audit"
)

var webhookInsecure = rule{
	Rule: audit.Rule{
		ID: "webhook-insecure", Title: "Webhook without secret or TLS check", Category: audit.CategorySetting, Severity: audit.Low, CWE: 345,
		Help: help(`
A webhook's receiver knows by the secret's signature that the forge sent a message. Without one, whoever knows the address can send pushes
and deployments that never were; without a checked certificate, whoever is on the way can read and change them.`, `
https://ci.example.com/hook   no secret, SSL verification disabled`, `
https://ci.example.com/hook   secret set, SSL verification enabled`, `
the webhook is switched off, or has a secret, https and a checked certificate.`),
		Fix: []string{
			"Set a random secret, and have the receiver check the signature",
			"Use https and leave the certificate's check on",
		},
	},
	of: audit.KindHook,
	judge: func(p *place, e *audit.Entry) verdict {
		var wrong []string
		if e.Facts["has_secret"] == "false" {
			wrong = append(wrong, "it has no secret")
		}
		switch {
		case e.Facts["url_scheme"] == "http":
			wrong = append(wrong, "it is sent in clear (http)")
		case e.Facts["tls_verified"] == "false":
			wrong = append(wrong, "the receiver's certificate is not checked")
		}
		if len(wrong) == 0 || e.Facts["active"] == "false" {
			return fine
		}
		return verdict{evidence: strings.Join(wrong, ", and ")}
	},
}
