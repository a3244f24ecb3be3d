package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLS serves with the certificate in two PEM files, which are read anew when
// they change, so that whoever renews them need not restart anything. A pair
// that cannot be read leaves the last one in use, and says so in the log.
func TLS(certFile, keyFile string, log *slog.Logger) (*tls.Config, error) {
	c := &certificate{cert: certFile, key: keyFile, log: log}
	if err := c.load(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}, nil
}

type certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	changed [2]time.Time // of the files, as they were read
	looked  time.Time
}

// lookAgain is how often the files are looked at, at most.
const lookAgain = 10 * time.Second

func (c *certificate) load() error {
	changed, err := c.times()
	if err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("tls: %s and %s: %w", c.cert, c.key, err)
	}
	c.pair, c.changed, c.looked = &pair, changed, time.Now()
	return nil
}

func (c *certificate) times() (all [2]time.Time, err error) {
	for i, path := range []string{c.cert, c.key} {
		info, err := os.Stat(path)
		if err != nil {
			return all, err
		}
		all[i] = info.ModTime()
	}
	return all, nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookAgain {
		return c.pair, nil
	}
	c.looked = time.Now()
	if now, err := c.times(); err == nil && now == c.changed {
		return c.pair, nil
	}
	if err := c.load(); err != nil {
		c.log.Warn("the new certificate cannot be read, so the old one is used", "cause", err)
	}
	return c.pair, nil
}
