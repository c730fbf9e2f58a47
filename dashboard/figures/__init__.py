"""Results in, figure descriptions and Plotly figures out. Knows no Streamlit."""
