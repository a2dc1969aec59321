"""For a WSGI server started by hand: `granian --interface wsgi --http 1 api.wsgi:app`."""

from api import create_app

app = create_app()
app.extensions["credit-risk"].watch()
