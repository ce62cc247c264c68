// Shows the document of this very server. The relative address also holds behind a prefix.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#documentation",
  deepLinking: true,
  displayRequestDuration: true,
  filter: true,
  defaultModelsExpandDepth: 0,
  // null: it would otherwise show a badge from a server on the internet.
  validatorUrl: null,
  // Tokens that are typed into the page are gone with it.
  persistAuthorization: false,
});
