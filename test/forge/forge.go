// Package forge has tests only: the fakes of package forgetest against GitHub's OpenAPI description and GitLab's own clients.
package forge
