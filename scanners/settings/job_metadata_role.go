package settings

import (
	"fmt"

	"github.com/leakreach/leakreach/audit"
)

var jobMetadataRole = rule{
	Rule: audit.Rule{
		ID: "job-metadata-role", Title: "Job has its machine's cloud role", Category: audit.CategoryRunner, Severity: audit.Medium, CWE: 668,
		Help: help(`
The metadata service of a machine hands the credentials of its role to whoever asks, and so to all code of all jobs on it: whatever the role
may do, each of them may. They are good for hours, from anywhere.`, `
aws ec2 run-instances --iam-instance-profile Name=ci --metadata-options HttpTokens=optional`, `
aws ec2 run-instances --metadata-options HttpTokens=required,HttpPutResponseHopLimit=1
jobs run in containers, which are then too far away to be answered, and get roles of their own by OIDC`, `
the machine is the forge's own, or has no role. Roles that ECS, EKS and Azure hand to a single container are given on purpose. Where AWS's
service answers without a session (version 1) it is high: one request that a server makes for a stranger is then enough.`),
		Fix: []string{
			"Give the machine a role that may do nothing that a job must not",
			"Keep jobs from the service: a hop limit of 1, a network policy, or metadata of workloads instead of nodes",
			"Have jobs get their roles by OIDC, limited to repository, branch or environment",
		},
	},
	of: audit.KindMetadata,
	judge: func(p *place, e *audit.Entry) verdict {
		machine := e.Name == "aws" || e.Name == "gcp" || e.Name == "azure"
		runners := p.entries[audit.KindRunner]
		if p.forge != jobForge || !machine || e.Facts["role"] == "" || len(runners) == 0 || runners[0].Facts["hosted"] == "true" {
			return fine // a role of the forge's own machines is no business of a job's
		}
		v := verdict{evidence: "the job can have the credentials of " + e.Facts["role"]}
		if account := e.Facts["account"]; account != "" {
			v.evidence += fmt.Sprintf(" (account %s)", account)
		}
		if e.Facts["v1"] == "true" {
			v.evidence += ", by a request without a session (version 1)"
			v.severity = audit.High
		}
		return v
	},
}
