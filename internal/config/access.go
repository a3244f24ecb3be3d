package config

import (
	"errors"
	"fmt"
	"time"
)

// Access says whose tokens open /mcp. Without an issuer it is deputy itself.
type Access struct {
	Issuer        string        `yaml:"issuer" doc:"an authorization server of yours, whose tokens for PUBLIC_URL/mcp open /mcp; empty: none"`
	Introspection string        `yaml:"introspection_url" doc:"ask it about each token (RFC 7662); empty: they are signed JWTs (RFC 9068)"`
	ClientID      string        `yaml:"client_id" doc:"for introspection"`
	ClientSecret  Secret        `yaml:"client_secret" doc:"for introspection: file:PATH, env:NAME or keyring:NAME"`
	MaxAge        time.Duration `yaml:"max_age" doc:"the person has signed in no longer ago than this (RFC 9470); 0: whenever"`
	ACRValues     []string      `yaml:"acr_values" doc:"… and in one of these ways; empty: in any"`
}

func (a Access) check() error {
	if a.Issuer == "" {
		if a.Introspection != "" || a.ClientID != "" || a.ClientSecret != "" {
			return errors.New("issuer is missing")
		}
	} else if err := safeURL(a.Issuer); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if a.Introspection != "" {
		if err := safeURL(a.Introspection); err != nil {
			return fmt.Errorf("introspection_url: %w", err)
		}
		if a.ClientID == "" || a.ClientSecret == "" {
			return errors.New("introspection_url needs client_id and client_secret")
		}
	} else if a.ClientID != "" || a.ClientSecret != "" {
		return errors.New("client_id and client_secret go with introspection_url")
	}
	if a.MaxAge < 0 || a.MaxAge > 0 && a.MaxAge < time.Minute {
		return fmt.Errorf("max_age: %v: want 1m or more", a.MaxAge)
	}
	return nil
}
