"""The leaderboard as a static site: pages, one stylesheet and one script, no server and no request to anybody."""
