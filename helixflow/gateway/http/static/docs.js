"use strict";

// The description is OpenAPI 3.1; this version of the page draws it but asks for a 3.0 in its name.
fetch("openapi.json")
  .then((response) => response.json())
  .then((description) =>
    SwaggerUIBundle({
      spec: { ...description, openapi: "3.0.3" },
      dom_id: "#api",
      deepLinking: false,
      persistAuthorization: false,
      tryItOutEnabled: true,
      validatorUrl: null,
    }),
  );
